#!/usr/bin/env bash
# A real Slurm on this machine: three virtual nodes, accounting, no systemd. As root, on Debian or Ubuntu.
#
#   cluster.sh install     the distribution's packages (about 30 s)
#   cluster.sh start DIR   start it with every file below DIR; returns when the nodes are idle
#   cluster.sh stop DIR    stop it
# Nodes n1 and n2 are in the partitions main and high, which preempts main; n3 is in the partition apart.
# After `start`, export SLURM_CONF=DIR/slurm.conf. CLUSTER_PORT is the first of five TCP ports.
set -euo pipefail

PORT=${CLUSTER_PORT:-16900}
NODES=3
HOST=$(hostname -s 2>/dev/null || cat /proc/sys/kernel/hostname)
PATH=$PATH:/usr/sbin:/sbin
TAG="# a virtual node of tests/slurm/cluster.sh"

die() { echo "cluster.sh: $*" >&2; exit 1; }

# a daemon whose parent does not wait for it stays a zombie, which kill -0 takes for alive
running() { [ -r "/proc/$1/stat" ] && ! grep -q '^State:[[:space:]]*[ZX]' "/proc/$1/status" 2>/dev/null; }

wait_for() {  # seconds, what, command...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until timeout 5 "$@" >/dev/null 2>>"$BASE/log/wait.log"; do
    [ $SECONDS -lt $end ] || die "$what did not come up in time; see $BASE/log"
    sleep 0.1
  done
}

stop_pid() {  # pidfile
  local pid n=150; pid=$(cat "$1" 2>/dev/null) || return 0
  [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null || return 0
  while running "$pid" && [ $n -gt 0 ]; do sleep 0.1; n=$((n - 1)); done
  kill -KILL "$pid" 2>/dev/null || true
}

install() {
  apt-get update -qq -o DPkg::Lock::Timeout=300
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends \
    slurmctld slurmd slurmdbd slurm-client munge mariadb-server
}

write_config() {
  local memory; memory=$(awk -v n=$NODES '/MemTotal/ {printf "%d", $2 / 1024 * 0.9 / n}' /proc/meminfo)
  (umask 077; cat >"$BASE/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$BASE/munge/munge.socket
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 1))
SlurmUser=root
PidFile=$BASE/run/slurmdbd.pid
LogFile=$BASE/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
CONF
  )
  cat >"$BASE/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a requeued job may start again after cred_expire, 120 s by default
AuthInfo=socket=$BASE/munge/munge.socket,cred_expire=5
StateSaveLocation=$BASE/state
SlurmdSpoolDir=$BASE/spool/%n
SlurmctldPidFile=$BASE/run/slurmctld.pid
SlurmdPidFile=$BASE/run/slurmd.%n.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd.%n.log
DebugFlags=NO_CONF_HASH
# no cgroups and no task binding: works in a container
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5,preempt_send_user_signal
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
# between SIGTERM and SIGKILL; a trial writes its checkpoint in this time
KillWait=30
MessageTimeout=10
# listen on the loopback address, not on every interface
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 1))
AccountingStoragePass=$BASE/munge/munge.socket
NodeName=n[1-$NODES] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[$((PORT + 2))-$((PORT + 1 + NODES))] CPUs=2 RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=high Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=apart Nodes=n3 MaxTime=INFINITE State=UP PreemptMode=OFF
CONF
}

start_munge() {
  (umask 077; head -c 1024 /dev/urandom >"$BASE/munge/munge.key"); chmod 400 "$BASE/munge/munge.key"
  munged --force --key-file="$BASE/munge/munge.key" --socket="$BASE/munge/munge.socket" \
    --pid-file="$BASE/run/munged.pid" --log-file="$BASE/log/munged.log" --seed-file="$BASE/munge/munged.seed" \
    2>>"$BASE/log/munged.start.log"
  wait_for 10 munged munge -S "$BASE/munge/munge.socket" -n
}

start_accounting() {
  mariadb-install-db --no-defaults --user=root --datadir="$BASE/mysql" --auth-root-authentication-method=socket \
    --skip-test-db >"$BASE/log/mariadb-install.log" 2>&1 || die "no database; see $BASE/log/mariadb-install.log"
  setsid mariadbd --no-defaults --user=root --datadir="$BASE/mysql" --socket="$BASE/mysql/mysqld.sock" \
    --pid-file="$BASE/run/mariadbd.pid" --skip-networking --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
    --innodb-flush-log-at-trx-commit=0 </dev/null >"$BASE/log/mariadbd.log" 2>&1 &
  wait_for 60 mariadbd mariadb-admin --no-defaults --socket="$BASE/mysql/mysqld.sock" ping
  MYSQL_UNIX_PORT="$BASE/mysql/mysqld.sock" slurmdbd
  wait_for 60 slurmdbd sacctmgr -n list cluster
  sacctmgr -i -Q add cluster local >/dev/null  # slurmctld may only register with a cluster that the database knows
}

all_idle() { [ "$(timeout 5 sinfo -h -p main,apart -o '%D' -t idle 2>/dev/null | awk '{s += $1} END {print s + 0}')" = $NODES ]; }

start() {
  [ "$(id -u)" = 0 ] || die "run it as root"
  mkdir -p "$BASE"/{munge,state,spool/n1,spool/n2,spool/n3,run,log,mysql}
  chmod 755 "$BASE" "$BASE"/{munge,state,spool,run,log}; chmod 700 "$BASE/mysql"
  write_config
  for i in $(seq $NODES); do  # torch connects to the first node by its name
    getent hosts "n$i" >/dev/null || echo "127.0.0.1 n$i $TAG" >>/etc/hosts
  done
  start_munge
  start_accounting
  slurmctld
  for i in $(seq $NODES); do slurmd -N "n$i" 2>>"$BASE/log/slurmd.start.log"; done
  local end=$((SECONDS + 60))
  until all_idle; do
    [ $SECONDS -lt $end ] || die "the nodes did not come up in time; see $BASE/log"
    sleep 0.1
  done
}

stop() {
  scancel --user="$(id -un)" --full 2>/dev/null || true
  local n=300; while [ -n "$(squeue -h 2>/dev/null)" ] && [ $n -gt 0 ]; do sleep 0.1; n=$((n - 1)); done
  local name
  for name in "$BASE"/run/slurmd.*.pid "$BASE"/run/{slurmctld,slurmdbd,mariadbd,munged}.pid; do stop_pid "$name"; done
  sed -e "/$(printf '%s' "$TAG" | sed 's/[/.]/\\&/g')/d" /etc/hosts >"$BASE/hosts" && cat "$BASE/hosts" >/etc/hosts
}

if [ "${1:-}" = install ]; then install; exit; fi
[ $# = 2 ] || die "usage: $0 install | start DIR | stop DIR"
BASE=$2
export SLURM_CONF=$BASE/slurm.conf
case $1 in
  start) start ;;
  stop) stop ;;
  *) die "usage: $0 install | start DIR | stop DIR" ;;
esac
