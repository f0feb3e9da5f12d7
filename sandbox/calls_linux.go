package sandbox

// allowed are the system calls that the Go runtime, net, os and weir itself
// make. Not among them: to run a program, to look into or signal another
// process, to mount, to load code into the kernel, to change user, time or
// keys, and raw packets (socket is restricted by family beside this).
var allowed = []string{
	// Memory and threads.
	"brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "mincore", "membarrier", "futex", "clone", "clone3",
	"set_robust_list", "get_robust_list", "set_tid_address", "rseq", "arch_prctl", "prctl", "exit", "exit_group",
	"sched_yield", "sched_getaffinity", "gettid", "getpid", "getppid", "tgkill", "restart_syscall",
	// Signals and time.
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "nanosleep", "clock_nanosleep",
	"clock_gettime", "clock_getres", "gettimeofday", "timer_create", "timer_settime", "timer_delete",
	// Who and how much.
	"getuid", "geteuid", "getgid", "getegid", "getgroups", "getrusage", "getrlimit", "setrlimit", "prlimit64", "sysinfo", "uname", "times", "getrandom",
	// Files, within what landlock leaves.
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "close", "open", "openat", "stat", "lstat", "fstat", "newfstatat",
	"statx", "statfs", "fstatfs", "lseek", "access", "faccessat", "faccessat2", "dup", "dup2", "dup3", "pipe", "pipe2", "fcntl", "flock", "fsync",
	"fdatasync", "sync_file_range", "truncate", "ftruncate", "fallocate", "fadvise64", "getdents64", "getcwd", "chdir", "rename", "renameat", "renameat2",
	"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat", "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2", "umask", "utimensat",
	"copy_file_range", "sendfile", "splice", "ioctl",
	// Waiting.
	"select", "pselect6", "poll", "ppoll", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2",
	"inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	// The network.
	"connect", "accept", "accept4", "bind", "listen", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
	"getsockname", "getpeername", "socketpair", "setsockopt", "getsockopt",
	// The sandbox itself, which only takes away.
	"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp",
}
