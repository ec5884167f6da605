# Prints what a process in a container is allowed and sees, one `name=value` a line: of this process, or with a number what can
# be seen of that one from outside. Every attempt is harmless where it succeeds: files are opened and not written, calls get
# arguments that no kernel accepts.
use strict;
use warnings;
use Fcntl ':mode';
use POSIX ();

my %CALLS = (x86_64 => {
    prctl => 157, keyctl => 250, personality => 135, sched_getscheduler => 145, ioprio_get => 252, getpriority => 140,
    add_key => 248, bpf => 321, clone3 => 435, io_uring_setup => 425, kcmp => 312, mount => 165, name_to_handle_at => 303,
    perf_event_open => 298, process_vm_readv => 310, ptrace => 101, setns => 308, socket => 41, syslog => 103, unshare => 272,
    userfaultfd => 323, landlock_create_ruleset => 444, open_tree => 428, fsopen => 430, mbind => 237,
}, aarch64 => {
    prctl => 167, keyctl => 219, personality => 92, sched_getscheduler => 120, ioprio_get => 31, getpriority => 141,
    add_key => 217, bpf => 280, clone3 => 435, io_uring_setup => 425, kcmp => 272, mount => 40, name_to_handle_at => 264,
    perf_event_open => 241, process_vm_readv => 270, ptrace => 117, setns => 268, socket => 198, syslog => 116, unshare => 97,
    userfaultfd => 282, landlock_create_ruleset => 444, open_tree => 428, fsopen => 430, mbind => 235,
});
my $machine = (POSIX::uname())[4];
$machine = { i686 => "x86_64", armv8l => "aarch64" }->{$machine} || $machine;
my $calls = $CALLS{$machine} or die "no numbers of calls for $machine";

# The process that is looked at, and its root as this process sees it.
my $outside = @ARGV;
my $proc = $outside ? "/proc/$ARGV[0]" : '/proc/self';
my $root = $outside ? "$proc/root" : '';

sub fact { my ($name, $value) = @_; $value =~ s/\s+/ /g; $value =~ s/^ | $//g; print "$name=$value\n" }
sub slurp { open(my $file, '<', $_[0]) or return "error: $!"; local $/; my $text = <$file>; defined $text ? $text : "error: $!" }
sub call { my ($name, @arguments) = @_; $! = 0; my $got = syscall($calls->{$name}, @arguments); $got < 0 ? "error: $!" : $got }

# Before anything is opened.
opendir(my $own, "$proc/fd") or print "fd=error: $!\n";
for my $fd (sort { $a <=> $b } grep { /^\d+$/ } $own ? readdir $own : ()) {
    my $link = readlink "$proc/fd/$fd";
    next if !defined $link || (!$outside && $fd == fileno($own)) || $link =~ /probe\.pl$/;
    $link =~ s/\d+/N/g;
    fact("fd.$fd", $link);
}

for (split /\n/, slurp("$proc/status")) {
    my ($name, $value) = split /:/, $_, 2;
    # The C library has 32 and 33 ignored in what it spawns, and uses them itself.
    $value = sprintf '%016x', do { no warnings 'portable'; hex($value =~ s/\s//gr) } & ~(3 << 31) if $name eq 'SigIgn';
    fact("status.$name", $value) if $name =~ /^(?:Cap\w+|NoNewPrivs|Seccomp\w*|Groups|[UG]id|Umask|Sig(?:Blk|Ign|Cgt)|NS\w+|Spec\w+|Name)$/;
}
for my $name (qw(attr/current oom_score_adj personality coredump_filter loginuid setgroups uid_map cgroup)) {
    fact("self.$name", slurp("$proc/$name"));
}
for (split /\n/, slurp("$proc/limits")) {
    fact("limit.$1", $2) if /^Max ([a-z ]+?)  +(.*)$/;
}
fact('cwd', readlink "$proc/cwd");

my %mounts;
# Mounts: what there is, with its options, and nothing that has another number each time.
for (split /\n/, slurp("$proc/mountinfo")) {
    my ($front, $back) = split / - /, $_, 2;
    my (undef, undef, undef, $root, $at, $options, @tags) = split / /, $front;
    my ($kind, undef, $super) = split / /, $back;
    s/:\d+// for @tags;
    $super =~ s/,(?:xino|lowerdir|upperdir|workdir|uuid|index|nr_blocks|nr_inodes|inode64|huge)[^,]*//g;
    fact("mount.$at." . ++$mounts{$at}, "$kind $root $options @tags " . ($kind =~ /^(?:ext4|overlay|xfs|btrfs)$/ ? '' : $super));
}

# Devices and links of /dev.
my @folders = ('/dev');
while (defined(my $folder = shift @folders)) {
    opendir(my $entries, "$root$folder") or next;
    for my $name (sort grep { !/^\.\.?$/ } readdir $entries) {
        my $path = "$folder/$name";
        my @stat = lstat "$root$path" or next;
        next if $path =~ m{^/dev/pts/\d+$};
        my $what = sprintf '%06o %d:%d', $stat[2], @stat[4, 5];
        $what .= " -> " . readlink "$root$path" if S_ISLNK($stat[2]);
        $what .= sprintf ' %d:%d', $stat[6] >> 8, $stat[6] & 255 if S_ISCHR($stat[2]) || S_ISBLK($stat[2]);
        fact("dev.$path", $what);
        push @folders, $path if S_ISDIR($stat[2]);
    }
}

if ($outside) {
    for my $kind (qw(cgroup ipc mnt net pid user uts)) {
        fact("namespace.$kind", readlink("$proc/ns/$kind") eq readlink("/proc/self/ns/$kind") ? "the node's" : 'its own');
    }
    exit;
}

fact("env.$_", $ENV{$_}) for grep { !/^_$/ } keys %ENV;
fact('umask', sprintf('%04o', umask));

# What can be opened, and how. Nothing is written.
for my $path (qw(
    /proc/kcore /proc/keys /proc/timer_list /proc/sysrq-trigger /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward
    /proc/irq/default_smp_affinity /proc/bus/input/devices /proc/acpi /proc/scsi /proc/asound /proc/interrupts /proc/latency_stats /sys/firmware /sys/kernel/profiling
    /sys/devices/virtual/powercap /sys/kernel/mm/transparent_hugepage/enabled /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/memory/cgroup.procs
    /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx /dev/kmsg /dev/mem /dev/fuse /dev/net/tun /dev/console
)) {
    for (['r', '<'], ['w', '+<']) {
        my ($how, $mode) = @$_;
        $! = 0;
        my $seen;
        if (-d $path) {
            my $entries;
            $seen = opendir($entries, $path) ? 'entries ' . scalar(grep { !/^\.\.?$/ } readdir $entries) : "error: $!";
        } else {
            $seen = open(my $file, $mode, $path) ? 'opens' : "error: $!";
        }
        $seen =~ s/entries [1-9]\d*/entries/;
        fact("open.$how.$path", $seen);
    }
}
for my $folder (qw(/ /dev /dev/shm /proc /sys /sys/fs/cgroup /etc /tmp)) {
    my $made = "$folder/probe-folder";
    my $seen = mkdir($made) ? 'makes' : "error: $!";
    rmdir $made;
    fact("write.$folder", $seen);
}
my $special = POSIX::mkfifo('/dev/shm/probe', 0777) ? sprintf('%04o', (lstat '/dev/shm/probe')[2] & 07777) : "error: $!";
unlink '/dev/shm/probe';
fact('made.mode', $special);

for my $name (qw(
    kernel/hostname kernel/domainname kernel/msgmax kernel/shm_rmid_forced fs/mqueue/msg_max net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range
    net/ipv4/tcp_syncookies net/core/somaxconn
)) {
    fact("sysctl.$name", slurp("/proc/sys/$name"));
}

# Session keyring: its name, owner and permissions.
my $description = "\0" x 256;
my $length = syscall($calls->{keyctl}, 6, -3, $description, 256);
fact('keyring', $length < 0 ? "error: $!" : substr($description, 0, $length - 1));

# Attributes that only calls tell.
my %PRCTL = (pdeathsig => 2, dumpable => 3, keepcaps => 7, securebits => 27, timerslack => 30, subreaper => 37, thp_disable => 42, io_flusher => 58);
for my $name (sort keys %PRCTL) {
    my $place = "\0" x 8;
    my $is_written = $name =~ /^(?:pdeathsig|subreaper)$/;
    my $got = $is_written ? syscall($calls->{prctl}, $PRCTL{$name}, $place, 0, 0, 0) : call("prctl", $PRCTL{$name}, 0, 0, 0, 0);
    $got = $got < 0 ? "error: $!" : unpack "i", $place if $is_written;
    fact("prctl.$name", $got);
}
fact('personality', call('personality', 0xffffffff));
fact('sched.policy', call('sched_getscheduler', 0));
fact('sched.nice', call('getpriority', 0, 0));
fact('sched.ioprio', call('ioprio_get', 1, 0));

# Calls with arguments that cannot succeed: what comes back tells a filter from the kernel.
my %TRIES = (
    add_key => [0, 0, 0, 0, 0], bpf => [-1, 0, 0], clone3 => [0, 0], io_uring_setup => [0, 0], kcmp => [-1, -1, -1, 0, 0], mount => [0, 0, 0, 0, 0],
    name_to_handle_at => [-1, 0, 0, 0, 0], perf_event_open => [0, -1, -1, -1, 0], process_vm_readv => [-1, 0, 0, 0, 0, 0],
    ptrace => [-1, -1, 0, 0], setns => [-1, 0], syslog => [-1, 0, 0], unshare => [1], userfaultfd => [-1],
    landlock_create_ruleset => [0, 0, 0xff], open_tree => [-1, 0, -1], fsopen => [0, -1], mbind => [1, 1, -1, 0, 0, 0],
);
fact("call.$_", call($_, @{$TRIES{$_}})) for sort keys %TRIES;
fact('call.socket.vsock', call('socket', 40, 1, 0));
fact('call.socket.alg', call('socket', 38, 5, 0));
fact('call.socket.raw', call('socket', 2, 3, 1));
fact('call.socket.packet', call('socket', 17, 3, 0));
# Newer than all of today's kernels.
$calls->{unknown} = 600;
fact('call.unknown', call('unknown'));
