"""What trains inside a frozen backbone: parameter-efficient fine-tuning of timm's Vision Transformers, a file each."""
