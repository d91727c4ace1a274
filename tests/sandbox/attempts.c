/* Ways out of a sandbox that take system calls of one's own choice.
 *
 *   attempts MARKER PID...     MARKER is a file that is only outside, so are the processes. Each
 *                              attempt is made in a process of its own; what succeeds is named.
 *   attempts connect NAME PORT connects to an abstract socket and to a port of the loopback
 *   attempts flee COUNT        leaves processes behind that are another one every moment
 *
 * The exit code is 0 if nothing succeeded. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *marker;
static char **outside;
static int outside_count;

/* Whether a call that must fail has succeeded. */
#define WORKED(call) ((long)(call) != -1)

static int writes(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    return file >= 0 && write(file, text, strlen(text)) > 0;
}

static int reads(const char *path) {
    char byte;
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return file >= 0 && read(file, &byte, 1) == 1;
}

static int mounts(void) {
    return WORKED(mount("none", "/tmp", "tmpfs", 0, ""));
}
static int binds(void) {
    return WORKED(mount("/", "/tmp", 0, MS_BIND, 0));
}
static int remounts(void) {
    return WORKED(mount(0, "/proc/sys", 0, MS_REMOUNT | MS_BIND, 0));
}
static int moves(void) {
    return WORKED(mount("/dev", "/tmp", 0, MS_MOVE, 0));
}
static int propagates(void) {
    return WORKED(mount(0, "/", 0, MS_SHARED | MS_REC, 0));
}
static int mounts_control_groups(void) {
    return WORKED(mount("cgroup", "/tmp", "cgroup", 0, "memory")) || WORKED(mount("none", "/tmp", "cgroup2", 0, 0));
}
static int unmounts(void) {
    return WORKED(umount2("/proc", MNT_DETACH)) || WORKED(umount2("/", MNT_DETACH)) ||
           WORKED(umount2("/proc/sys", 0)) || WORKED(umount2("/dev/null", 0));
}
static int opens_a_file_system(void) {
    return WORKED(syscall(SYS_fsopen, "tmpfs", 0));
}
static int clones_a_mount(void) {
    return WORKED(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
}
static int moves_a_mount(void) {
    return WORKED(syscall(SYS_move_mount, AT_FDCWD, "/dev", AT_FDCWD, "/tmp", 0));
}
static int changes_a_mount(void) {
    uint64_t attributes[4] = {0, 1, 0, 0};
    return WORKED(syscall(SYS_mount_setattr, AT_FDCWD, "/proc/sys", 0, attributes, sizeof attributes));
}
static int pivots(void) {
    mkdir("/tmp/new", 0755);
    return WORKED(syscall(SYS_pivot_root, "/tmp/new", "/tmp/new"));
}

static int makes_namespaces(void) {
    static const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET,
                                CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80 /* time */};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (WORKED(unshare(flags[i]))) return 1;
    return 0;
}
static int is_cloned(long child) {
    if (child == 0) _exit(0);
    return child > 0;
}
static int clones_namespaces(void) {
    return is_cloned(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)) ||
           is_cloned(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
}
static int clones_namespaces_anew(void) {
    uint64_t arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
    return is_cloned(syscall(SYS_clone3, arguments, sizeof arguments));
}
static int enters_namespaces(void) {
    static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int of = 0; of < 2; of++) {
            snprintf(path, sizeof path, "/proc/%s/ns/%s", of ? "1" : "self", names[i]);
            int file = open(path, O_RDONLY | O_CLOEXEC);
            if (file >= 0 && WORKED(setns(file, 0))) return 1;
        }
    for (int i = 0; i < outside_count; i++) {
        int process = syscall(SYS_pidfd_open, atoi(outside[i]), 0);
        if (process >= 0 && WORKED(setns(process, CLONE_NEWNS))) return 1;
    }
    return 0;
}
static int maps_ids(void) {
    return writes("/proc/self/uid_map", "0 0 1") || writes("/proc/self/gid_map", "0 0 1");
}

static int sets_the_kernel(void) {
    return writes("/proc/sys/kernel/core_pattern", "|/tmp/x") || writes("/proc/sys/kernel/modprobe", "/tmp/x") ||
           writes("/proc/sys/vm/drop_caches", "0") || writes("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/x:") ||
           writes("/proc/sys/kernel/hostname", "other") || writes("/proc/sys/kernel/ns_last_pid", "1") ||
           writes("/proc/sys/net/ipv4/ip_forward", "0") || writes("/proc/sys/kernel/random/uuid", "x");
}
static int asks_the_kernel_by_key(void) {
    /* Only a loglevel, should it be let through. */
    return writes("/proc/sysrq-trigger", "9");
}
static int sets_interrupts(void) {
    return writes("/proc/irq/default_smp_affinity", "ffffffff");
}
static int reads_kernel_memory(void) {
    return reads("/proc/kcore") || reads("/proc/kmsg") || reads("/dev/kmsg") || reads("/dev/mem") || reads("/dev/port");
}
static int reads_the_kernel_log(void) {
    char text[64];
    return WORKED(klogctl(3, text, sizeof text));
}
static int sets_a_helper_of_the_kernel(void) {
    return writes("/sys/kernel/uevent_helper", "/tmp/x") || writes("/sys/fs/cgroup/release_agent", "/tmp/x") ||
           writes("/sys/fs/cgroup/memory/release_agent", "/tmp/x") || writes("/sys/power/state", "x") ||
           writes("/sys/kernel/mm/transparent_hugepage/enabled", "madvise") || WORKED(mkdir("/sys/fs/cgroup/x", 0755)) ||
           WORKED(mkdir("/sys/fs/cgroup/memory/x", 0755)) || WORKED(mkdir("/sys/fs/cgroup/pids/x", 0755));
}

/* The marker of outside, below a folder that may be the root of outside. */
static int finds_marker_below(const char *root) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, marker);
    return access(path, F_OK) == 0;
}
static int goes_through_processes(void) {
    char path[64];
    for (int i = -1; i < outside_count; i++) {
        const char *pid = i < 0 ? "1" : outside[i];
        snprintf(path, sizeof path, "/proc/%s/root", pid);
        if (finds_marker_below(path)) return 1;
        snprintf(path, sizeof path, "/proc/%s/cwd/../../../../../../..", pid);
        if (finds_marker_below(path)) return 1;
        for (int file = 0; file < 32; file++) {
            snprintf(path, sizeof path, "/proc/%s/fd/%d/../../../../../../..", pid, file);
            if (finds_marker_below(path)) return 1;
            snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, file);
            if (i >= 0 && WORKED(open(path, O_RDONLY | O_NONBLOCK))) return 1;
        }
        snprintf(path, sizeof path, "/proc/%s/environ", pid);
        if (i >= 0 && reads(path)) return 1;
        snprintf(path, sizeof path, "/proc/%s/mem", pid);
        if (WORKED(open(path, O_RDWR))) return 1;
        snprintf(path, sizeof path, "/proc/%s/exe", pid);
        if (i < 0 && WORKED(open(path, O_RDONLY))) return 1;
        snprintf(path, sizeof path, "/proc/%s/oom_score_adj", pid);
        if (i >= 0 && writes(path, "1000")) return 1;
    }
    return 0;
}
static int goes_through_own_links(void) {
    return finds_marker_below("/proc/self/root") || finds_marker_below("/proc/thread-self/root/../..") ||
           finds_marker_below("/proc/self/cwd/../../..") || finds_marker_below("/../../..") ||
           finds_marker_below("/dev/fd/3/../../..") || finds_marker_below("/dev/fd/0/../../..");
}
static int leaves_a_chroot(void) {
    mkdir("/tmp/inner", 0755);
    int root = open("/", O_RDONLY | O_DIRECTORY);
    if (root < 0 || chroot("/tmp/inner") != 0 || fchdir(root) != 0) return 0;
    for (int i = 0; i < 64; i++)
        if (chdir("..") != 0) break;
    return finds_marker_below(".") || (chroot(".") == 0 && finds_marker_below("/"));
}
static int opens_by_handle(void) {
    struct { unsigned bytes; int type; unsigned char id[64]; } handle = {8, 1, {2, 0, 0, 0}};
    int root = open("/", O_RDONLY | O_DIRECTORY);
    return WORKED(syscall(SYS_open_by_handle_at, root, &handle, O_RDONLY));
}

static int opens_devices(void) {
    static const char *const folders[] = {"/", "/tmp", "/dev", "/dev/shm"};
    static const struct { int kind, major, minor; } devices[] = {
        {S_IFCHR, 1, 1}, {S_IFCHR, 1, 4}, {S_IFCHR, 10, 237}, {S_IFCHR, 10, 229}, {S_IFCHR, 5, 1},
        {S_IFBLK, 7, 0}, {S_IFBLK, 8, 0}, {S_IFBLK, 252, 0}, {S_IFBLK, 253, 0}, {S_IFBLK, 254, 0}, {S_IFBLK, 259, 0}};
    char path[64];
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++)
        for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
            snprintf(path, sizeof path, "%s/device-%zu", folders[f], d);
            if (mknod(path, devices[d].kind | 0666, makedev(devices[d].major, devices[d].minor)) != 0) continue;
            int worked = WORKED(open(path, O_RDONLY | O_NONBLOCK));
            unlink(path);
            if (worked) return 1;
        }
    return 0;
}

static int uses_keys(void) {
    return WORKED(syscall(SYS_add_key, "user", "x", "y", 1, -3)) || WORKED(syscall(SYS_keyctl, 0, -3, 0)) ||
           WORKED(syscall(SYS_keyctl, 1, "x")) || WORKED(syscall(SYS_request_key, "user", "x", 0, 0)) || reads("/proc/keys");
}

static int traces(void) {
    for (int i = -1; i < outside_count; i++) {
        pid_t pid = i < 0 ? 1 : atoi(outside[i]);
        if (WORKED(ptrace(PTRACE_ATTACH, pid, 0, 0)) || WORKED(ptrace(PTRACE_SEIZE, pid, 0, 0))) return 1;
    }
    return 0;
}
static int reads_memory_of_others(void) {
    char byte;
    struct iovec own = {&byte, 1}, other = {(void *)0x400000, 1};
    for (int i = -1; i < outside_count; i++) {
        pid_t pid = i < 0 ? 1 : atoi(outside[i]);
        if (WORKED(process_vm_readv(pid, &own, 1, &other, 1, 0)) || errno == EFAULT) return 1;
        if (WORKED(process_vm_writev(pid, &own, 1, &other, 1, 0)) || errno == EFAULT) return 1;
    }
    return 0;
}
static int takes_descriptors(void) {
    for (int i = -1; i < outside_count; i++) {
        int process = syscall(SYS_pidfd_open, i < 0 ? 1 : atoi(outside[i]), 0);
        for (int file = 0; process >= 0 && file < 16; file++)
            if (WORKED(syscall(SYS_pidfd_getfd, process, file, 0))) return 1;
    }
    return 0;
}
static int signals(void) {
    for (int i = 0; i < outside_count; i++) {
        if (WORKED(kill(atoi(outside[i]), 0)) || WORKED(kill(atoi(outside[i]), SIGCONT))) return 1;
        int process = syscall(SYS_pidfd_open, atoi(outside[i]), 0);
        if (process >= 0 && WORKED(syscall(SYS_pidfd_send_signal, process, SIGCONT, 0, 0))) return 1;
        /* -1 means all that may be signalled. */
        if (atoi(outside[i]) > 1 && WORKED(kill(-atoi(outside[i]), SIGCONT))) return 1;
    }
    return 0;
}
static int limits_others(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    for (int i = 0; i < outside_count; i++)
        if (WORKED(prlimit(atoi(outside[i]), RLIMIT_CPU, &limit, 0)) || WORKED(prlimit(atoi(outside[i]), RLIMIT_CPU, 0, &limit)))
            return 1;
    return 0;
}

static int uses_bpf(void) {
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return WORKED(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}
static int measures_others(void) {
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes};
    return WORKED(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0)) ||
           WORKED(syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0));
}
static int handles_faults(void) {
    return WORKED(syscall(SYS_userfaultfd, 0)) || WORKED(syscall(SYS_userfaultfd, 1));
}
static int uses_rings(void) {
    char parameters[256] = {0};
    return WORKED(syscall(SYS_io_uring_setup, 1, parameters));
}
static int watches_files(void) {
    return WORKED(syscall(SYS_fanotify_init, 0, 0));
}
static int loads_modules(void) {
    return WORKED(syscall(SYS_init_module, "", 0, "")) || WORKED(syscall(SYS_finit_module, 0, "", 0)) ||
           WORKED(syscall(SYS_delete_module, "none", O_NONBLOCK)) || errno == ENOENT;
}
static int replaces_the_kernel(void) {
    return WORKED(syscall(SYS_kexec_load, 0, 0, 0, 0));
}
static int ends_the_machine(void) {
    /* Only Ctrl-Alt-Del, should it be let through. */
    return WORKED(reboot(RB_DISABLE_CAD));
}
static int sets_the_clock(void) {
    struct timeval now;
    gettimeofday(&now, 0);
    return WORKED(settimeofday(&now, 0));
}
static int swaps(void) {
    return WORKED(swapon("/bin/busybox", 0)) || errno != EPERM;
}
static int renames_the_host(void) {
    return WORKED(sethostname("other", 5)) || WORKED(setdomainname("other", 5));
}
static int accounts(void) {
    return WORKED(syscall(SYS_acct, 0));
}
#ifdef __x86_64__
static int uses_ports(void) {
    return WORKED(syscall(SYS_iopl, 3)) || WORKED(syscall(SYS_ioperm, 0x80, 1, 1));
}
#endif

static int types_for_others(void) {
    char byte = 'x', subcode = 3;
    for (int file = 0; file < 3; file++)
        if (WORKED(ioctl(file, TIOCSTI, &byte)) || WORKED(ioctl(file, TIOCLINUX, &subcode))) return 1;
    int terminal = open("/dev/tty", O_RDWR);
    if (terminal >= 0 && WORKED(ioctl(terminal, TIOCSTI, &byte))) return 1;
    /* The high half of a request is not looked at by the kernel. */
    return WORKED(syscall(SYS_ioctl, 0, TIOCSTI | 1L << 32, &byte));
}
static int reaches_the_hypervisor(void) {
    return WORKED(socket(AF_VSOCK, SOCK_STREAM, 0));
}
static int locks_memory(void) {
    /* More than any build needs, and than this may keep from being swapped. */
    void *memory = mmap(0, 1UL << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED && WORKED(mlock(memory, 1UL << 30));
}
static int raises_its_limits(void) {
    return writes("/proc/self/oom_score_adj", "-1000") || WORKED(setpriority(0, 0, -20));
}

#define ATTEMPT(name) {#name, name}
static const struct { const char *name; int (*make)(void); } attempts[] = {
    ATTEMPT(mounts), ATTEMPT(binds), ATTEMPT(remounts), ATTEMPT(moves), ATTEMPT(propagates),
    ATTEMPT(mounts_control_groups), ATTEMPT(unmounts), ATTEMPT(opens_a_file_system),
    ATTEMPT(clones_a_mount), ATTEMPT(moves_a_mount), ATTEMPT(changes_a_mount), ATTEMPT(pivots),
    ATTEMPT(makes_namespaces), ATTEMPT(clones_namespaces), ATTEMPT(clones_namespaces_anew),
    ATTEMPT(enters_namespaces), ATTEMPT(maps_ids), ATTEMPT(sets_the_kernel),
    ATTEMPT(asks_the_kernel_by_key), ATTEMPT(sets_interrupts), ATTEMPT(reads_kernel_memory),
    ATTEMPT(reads_the_kernel_log), ATTEMPT(sets_a_helper_of_the_kernel),
    ATTEMPT(goes_through_processes), ATTEMPT(goes_through_own_links), ATTEMPT(leaves_a_chroot),
    ATTEMPT(opens_by_handle), ATTEMPT(opens_devices), ATTEMPT(uses_keys), ATTEMPT(traces),
    ATTEMPT(reads_memory_of_others), ATTEMPT(takes_descriptors), ATTEMPT(signals),
    ATTEMPT(limits_others), ATTEMPT(uses_bpf), ATTEMPT(measures_others), ATTEMPT(handles_faults),
    ATTEMPT(uses_rings), ATTEMPT(watches_files), ATTEMPT(loads_modules),
    ATTEMPT(replaces_the_kernel), ATTEMPT(ends_the_machine), ATTEMPT(sets_the_clock),
    ATTEMPT(swaps), ATTEMPT(renames_the_host), ATTEMPT(accounts),
#ifdef __x86_64__
    ATTEMPT(uses_ports),
#endif
    ATTEMPT(types_for_others), ATTEMPT(reaches_the_hypervisor), ATTEMPT(locks_memory),
    ATTEMPT(raises_its_limits),
};

static int connects(const char *name, const char *port) {
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length >= sizeof abstract.sun_path) return 103;
    memcpy(abstract.sun_path + 1, name, length);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
    int worked = 0;
    if (WORKED(connect(local, (struct sockaddr *)&abstract, size))) worked += puts("abstract socket") > 0;
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_port = htons(atoi(port)),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int remote = socket(AF_INET, SOCK_STREAM, 0);
    if (WORKED(connect(remote, (struct sockaddr *)&loopback, sizeof loopback))) worked += puts("port") > 0;
    return worked;
}

static void flees(void) {
    time_t end = time(0) + 30;
    setsid();
    while (time(0) < end) {
        usleep(3000);
        pid_t child = fork();
        if (child > 0) _exit(0);
    }
    _exit(0);
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "connect") == 0) return connects(arguments[2], arguments[3]);
    if (count == 3 && strcmp(arguments[1], "flee") == 0) {
        for (int i = atoi(arguments[2]); i > 0; i--)
            if (fork() == 0) flees();
        return 0;
    }
    if (count < 2) return 100;
    marker = arguments[1];
    outside = arguments + 2;
    outside_count = count - 2;
    int worked = 0;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child < 0) return 101;
        if (child == 0) {
            alarm(10);
            _exit(attempts[i].make() ? 1 : 0);
        }
        int status;
        if (waitpid(child, &status, 0) != child) return 102;
        if (!WIFEXITED(status)) {
            printf("%s ended by signal %d\n", attempts[i].name, WTERMSIG(status));
            worked++;
        } else if (WEXITSTATUS(status) != 0) {
            printf("%s worked\n", attempts[i].name);
            worked++;
        }
    }
    return worked;
}
