package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A socket file that a killed process leaves keeps the next one from listening: "address already in use". A container's restart
// would clean it away, a swap has to.

// bound is a line of /proc/net/unix that has a path, as its process gave it.
type bound struct{ inode, path string }

func boundOf(table string) []bound {
	file, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer file.Close()
	var found []bound
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || strings.HasPrefix(fields[7], "@") { // none, or no file
			continue
		}
		_, path, _ := strings.Cut(lines.Text(), " "+fields[6]+" ")
		found = append(found, bound{fields[6], path})
	}
	return found
}

// holds says whether a process has that socket open.
func holds(pid, inode string) bool {
	links, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

// noteSockets prints the socket files that are known already, and those to which one of the processes has bound a socket; the first
// of them is the program, whose folder a path may begin at.
func noteSockets(pids []string) {
	known := map[string]bool{}
	note := func(path string) {
		if path != "" && !known[path] {
			known[path] = true
			fmt.Println(path)
		}
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		note(lines.Text())
	}
	for _, one := range boundOf("/proc/" + pids[0] + "/net/unix") {
		for _, pid := range pids {
			if !holds(pid, one.inode) {
				continue
			}
			if folder, err := os.Readlink("/proc/" + pids[0] + "/cwd"); filepath.IsAbs(one.path) || err == nil {
				note(resolved(one.path, folder))
			}
			break
		}
	}
}

func resolved(path, folder string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return folder + "/" + path
}

// dropSockets removes those socket files, named on stdin, to which nobody is bound. One to which somebody is stays, by whatever path,
// also one that is not seen from here.
func dropSockets() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		path := lines.Text()
		if stat, err := os.Stat(path); err == nil && stat.Mode()&os.ModeSocket != 0 && !isBound(path, stat) {
			os.Remove(path)
		}
	}
}

func isBound(path string, stat os.FileInfo) bool {
	isIt := func(other string) (is, seen bool) {
		there, err := os.Stat(other)
		return err == nil && os.SameFile(there, stat), err == nil
	}
	for _, one := range boundOf("/proc/self/net/unix") {
		if filepath.Base(one.path) != filepath.Base(path) {
			continue
		}
		if filepath.IsAbs(one.path) {
			if is, seen := isIt(one.path); is || !seen {
				return true
			}
			continue
		}
		folders, _ := filepath.Glob("/proc/[0-9]*/cwd")
		for _, folder := range folders {
			if is, _ := isIt(folder + "/" + one.path); is && holds(strings.Split(folder, "/")[2], one.inode) {
				return true
			}
		}
	}
	return false
}
