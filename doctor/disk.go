package doctor

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// DiskLimits are when a disk is too full or too slow.
type DiskLimits struct {
	FailBytes, WarnBytes uint64        // free at least
	Slow                 time.Duration // for a small file to be on the disk
}

// DefaultDiskLimits are those of weir doctor.
func DefaultDiskLimits() DiskLimits {
	return DiskLimits{FailBytes: 16 << 20, WarnBytes: 512 << 20, Slow: time.Second}
}

// Disk says whether a folder can be written, has room, and is quick enough. It
// writes one small file there and removes it.
func Disk(dir string, limits DiskLimits, now func() time.Time) []Result {
	const check = "disk"
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Result{result(check, Skip, "", "%s is not there yet: weir makes it", dir)}
	case err != nil:
		return []Result{result(check, Fail, "let weir's user into "+dir, "%v", err)}
	case !info.IsDir():
		return []Result{result(check, Fail, "state_dir must name a folder", "%s is no folder", dir)}
	}
	var out []Result
	if info.Mode().Perm()&0o002 != 0 {
		out = append(out, result("permissions", Fail, "chmod o-w "+dir, "%s can be written by every user", dir))
	} else {
		out = append(out, result("permissions", OK, "", "%s belongs to its user (%o)", dir, info.Mode().Perm()))
	}
	free, err := freeBytes(dir)
	fix := "make room, or lower store.max_bytes and records.*.max_bytes"
	switch {
	case err != nil:
		out = append(out, result(check, Skip, "", "how much is free cannot be seen: %v", err))
	case free < limits.FailBytes:
		out = append(out, result(check, Fail, fix, "%s has %d MiB left: records are dropped", dir, free>>20))
	case free < limits.WarnBytes:
		out = append(out, result(check, Warn, fix, "%s has %d MiB left", dir, free>>20))
	default:
		out = append(out, result(check, OK, "", "%s has %d MiB left", dir, free>>20))
	}
	took, err := probe(dir, now)
	switch {
	case errors.Is(err, fs.ErrPermission):
		out = append(out, result(check, Skip, "ask as weir's user, or as root", "%s cannot be written by who asks", dir))
	case err != nil:
		out = append(out, result(check, Fail, "mount it writable, and make room", "%s cannot be written: %v", dir, err))
	case took > limits.Slow:
		out = append(out, result(check, Warn, "records may be dropped (weir_sink_dropped_total): a faster disk, or fewer records", "%s takes %v for a small file", dir, took.Round(time.Millisecond)))
	default:
		out = append(out, result(check, OK, "", "%s takes %v for a small file", dir, took.Round(time.Millisecond)))
	}
	return out
}

// probe writes a small file and waits until it is on the disk.
func probe(dir string, now func() time.Time) (time.Duration, error) {
	began := now()
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	err = errors.Join(err, f.Sync(), f.Close())
	return now().Sub(began), err
}
