package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// always is what every program of this kind reads: name services and their
// like, CAs, time zones, and what the runtime wants to know of its limits.
var always = []string{
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/localtime",
	"/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/zoneinfo",
	"/dev/null", "/dev/urandom", "/proc", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage", "/run/systemd/resolve",
}

// Apply restricts this process, for good. It is called when all addresses are
// bound. An error means that something was wanted and could have been done, but
// was not: whoever asked for a sandbox must not go on without.
func Apply(cfg Config, paths Paths) (done Applied, err error) {
	makeFolders(paths.Own)
	if cfg.User != "" {
		if err := become(cfg, paths.Own); err != nil {
			return done, fmt.Errorf("user: %w", err)
		}
		done.User = true
	}
	switch err := dropCapabilities(); {
	case err == nil:
		done.Capabilities = true
	case errors.Is(err, syscall.ENOTSUP): // a build with cgo cannot reach its threads
		done.Missing = append(done.Missing, "dropping capabilities (build without cgo)")
	default:
		return done, fmt.Errorf("capabilities: %w", err)
	}
	stuck, err := restrictFiles(cfg, paths)
	if err != nil {
		return done, fmt.Errorf("landlock: %w", err)
	}
	done.Missing = append(done.Missing, stuck...)
	if done.Landlock = landlockABI() > 0; !done.Landlock {
		done.Missing = append(done.Missing, "landlock")
	}
	switch err := restrictCalls(); {
	case err == nil:
		done.Seccomp = true
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EINVAL):
		done.Missing = append(done.Missing, "seccomp")
	default:
		return done, fmt.Errorf("seccomp: %w", err)
	}
	return done, nil
}

// makeFolders makes those that are missing: nothing can be made beside what
// landlock leaves, and there is nothing to leave where there is no folder yet.
// One that cannot be made is for who writes there to complain about.
func makeFolders(dirs []string) {
	for _, dir := range dirs {
		if os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755) == nil {
			_ = os.Mkdir(dir, 0o750)
		}
	}
}

// become turns root into cfg's user, who gets the folders that are written.
func become(cfg Config, folders []string) error {
	uid, gid, err := cfg.ids()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		if os.Geteuid() == uid {
			return nil
		}
		return errors.New("only root can become another user")
	}
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, uid, gid)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// dropCapabilities empties the sets of every thread.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
	if errno == syscall.ENOTSUP {
		return errno
	}
	_, _, errno = syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	runtime.KeepAlive(&header)
	if errno != 0 {
		return errno
	}
	return nil
}

// restrictFiles leaves what paths name. stuck says what cannot be read any more
// once it was replaced.
func restrictFiles(cfg Config, paths Paths) (stuck []string, err error) {
	dirs, files, err := readable(always, false)
	if err != nil {
		return nil, err
	}
	// All of /etc is readable for anybody, but for root that includes its secrets.
	whole := os.Geteuid() != 0
	moreDirs, moreFiles, err := readable(append(cfg.Read[:len(cfg.Read):len(cfg.Read)], paths.Read...), whole)
	if err != nil {
		return nil, err
	}
	for _, f := range moreFiles {
		if filepath.Dir(f) == "/etc" {
			stuck = append(stuck, "reading "+f+" after it was replaced: it needs a folder of its own, or sandbox.user")
		}
	}
	return stuck, landlock.V5.BestEffort().RestrictPaths(
		landlock.ROFiles(append(files, moreFiles...)...).IgnoreIfMissing(),
		landlock.RODirs(append(dirs, moreDirs...)...).IgnoreIfMissing(),
		landlock.RWDirs(append(paths.Own[:len(paths.Own):len(paths.Own)], paths.Write...)...).IgnoreIfMissing(),
	)
}

// readable is what must be left so that paths can be read now and later. For a
// file that is its folder, as whoever replaces a file makes a new one beside it;
// for a link its own folder and that of what it leads to, where the next one
// will be too, as with certificates that are renewed. In /etc that folder is
// much, so it is left only for etc.
func readable(paths []string, etc bool) (dirs, files []string, err error) {
	for _, p := range paths {
		p, err := filepath.Abs(p)
		if err != nil {
			return nil, nil, err
		}
		leave := func(p string) {
			info, err := os.Stat(p)
			switch dir := filepath.Dir(p); {
			case err == nil && info.IsDir():
				dirs = append(dirs, p)
			case dir == "/etc" && !etc || dir == "/dev" || dir == "/":
				if err == nil {
					files = append(files, p) // not all that lies beside these
				}
			default:
				dirs = append(dirs, dir)
			}
		}
		leave(p)
		if to, err := filepath.EvalSymlinks(p); err == nil && to != p {
			leave(to)
		}
	}
	return dirs, files, nil
}

// landlockABI is the version that the kernel has, 0 for none.
func landlockABI() int {
	const createRulesetVersion = 1
	n, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, createRulesetVersion)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// restrictCalls leaves the system calls in allowed, for every thread; others
// fail with EPERM.
func restrictCalls() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	var names []string
	for _, name := range allowed {
		if _, ok := info.SyscallNames[name]; ok {
			names = append(names, name)
		}
	}
	sockets := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK} {
		sockets.NamesWithCondtions = append(sockets.NamesWithCondtions, seccomp.NameWithConditions{
			Name:       "socket",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: family}},
		})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Names: names, Action: seccomp.ActionAllow}, sockets},
		},
	})
}
