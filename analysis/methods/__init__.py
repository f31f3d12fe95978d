"""The methods that conf/method offers, as tables."""
