// gomemcache over TLS with verification: every kind of command that the library has.
//
// Releases of the library since 2023 take a dialer (Client.DialContext). Older ones, such as
// Debian's, dial by themselves, so this program forwards a Unix socket to the TLS endpoint.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const deadline = 10 * time.Second

var passed int

// check prints a line for a check that holds; it ends the program at the first that does not.
func check(name string, holds bool) {
	if !holds {
		fmt.Fprintln(os.Stderr, "FAILED", name)
		os.Exit(1)
	}
	passed++
	fmt.Println("ok", name)
}

// must ends the program at an error.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED", err)
		os.Exit(1)
	}
}

func main() {
	dir, err := os.MkdirTemp("", "memtide-go")
	must(err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "cache.sock")
	must(forward(socket, tlsConfig(os.Getenv("MEMTIDE_CA"))))

	c := memcache.New(socket)
	c.Timeout = deadline
	for _, part := range []func(*memcache.Client){
		store, many, remove, arithmetic, cas, timeToLive, values, server,
	} {
		part(c)
	}
	fmt.Println(passed, "checks passed")
}

// tlsConfig trusts this CA only, and asks for the host's name in the certificate.
func tlsConfig(ca string) *tls.Config {
	pem, err := os.ReadFile(ca)
	must(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		must(fmt.Errorf("no certificate in %s", ca))
	}
	return &tls.Config{RootCAs: roots, ServerName: os.Getenv("MEMTIDE_HOST")}
}

// forward carries each connection to the socket over a TLS connection of its own.
func forward(socket string, config *tls.Config) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(os.Getenv("MEMTIDE_HOST"), os.Getenv("MEMTIDE_PORT"))
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := tls.Dial("tcp", address, config)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				near.Close()
				continue
			}
			go func() { io.Copy(far, near); far.Close() }()
			go func() { io.Copy(near, far); near.Close() }()
		}
	}()
	return nil
}

func item(key, value string) *memcache.Item {
	return &memcache.Item{Key: key, Value: []byte(value)}
}

// holds says whether the key has this value.
func holds(c *memcache.Client, key, value string) bool {
	found, err := c.Get(key)
	return err == nil && string(found.Value) == value
}

func missing(c *memcache.Client, key string) bool {
	_, err := c.Get(key)
	return errors.Is(err, memcache.ErrCacheMiss)
}

// expires says whether the key is gone before the deadline.
func expires(c *memcache.Client, key string) bool {
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if missing(c, key) {
			return true
		}
	}
	return false
}

func store(c *memcache.Client) {
	must(c.Set(&memcache.Item{Key: "go:a", Value: []byte("1"), Flags: 1<<32 - 1}))
	found, err := c.Get("go:a")
	must(err)
	check("set and get", string(found.Value) == "1")
	check("flags come back", found.Flags == 1<<32-1)
	check("get of a missing key", missing(c, "go:none"))
	check("add of a key that exists", c.Add(item("go:a", "2")) == memcache.ErrNotStored)
	check("add", c.Add(item("go:added", "2")) == nil && holds(c, "go:added", "2"))
}

func many(c *memcache.Client) {
	keys := []string{"go:none"}
	for i := 0; i < 100; i++ {
		keys = append(keys, fmt.Sprint("go:m", i))
		must(c.Set(item(keys[i+1], keys[i+1])))
	}
	found, err := c.GetMulti(keys)
	must(err)
	check("GetMulti finds 100 keys", len(found) == 100)
	for key, item := range found {
		if string(item.Value) != key {
			check("GetMulti of "+key, false)
		}
	}
}

func remove(c *memcache.Client) {
	must(c.Set(item("go:d", "x")))
	check("delete", c.Delete("go:d") == nil)
	check("delete of a missing key", c.Delete("go:d") == memcache.ErrCacheMiss)
	check("get after delete", missing(c, "go:d"))
}

func arithmetic(c *memcache.Client) {
	must(c.Set(item("go:n", "10")))
	n, err := c.Increment("go:n", 32)
	check("increment", err == nil && n == 42)
	n, err = c.Decrement("go:n", 2)
	check("decrement", err == nil && n == 40)
	n, err = c.Decrement("go:n", 1000)
	check("decrement stops at 0", err == nil && n == 0)
	_, err = c.Increment("go:none", 1)
	check("increment of a missing key", err == memcache.ErrCacheMiss)
	must(c.Set(item("go:n", "text")))
	_, err = c.Increment("go:n", 1)
	check("increment of text is the client's error", err != nil && err != memcache.ErrCacheMiss)
}

func cas(c *memcache.Client) {
	must(c.Set(item("go:c", "old")))
	first, err := c.Get("go:c")
	must(err)
	second, err := c.Get("go:c")
	must(err)
	first.Value = []byte("new")
	check("cas", c.CompareAndSwap(first) == nil)
	second.Value = []byte("lost")
	check("cas with an old token", c.CompareAndSwap(second) == memcache.ErrCASConflict)
	check("get after cas", holds(c, "go:c", "new"))
	must(c.Delete("go:c"))
	check("cas of a missing key", c.CompareAndSwap(second) == memcache.ErrCacheMiss)
}

func timeToLive(c *memcache.Client) {
	must(c.Set(&memcache.Item{Key: "go:t", Value: []byte("x"), Expiration: 600}))
	check("touch", c.Touch("go:t", 1) == nil)
	check("a touched item expires", expires(c, "go:t"))
	check("touch of a missing key", c.Touch("go:t", 1) == memcache.ErrCacheMiss)
	must(c.Set(&memcache.Item{Key: "go:e", Value: []byte("x"), Expiration: 1}))
	check("an item expires", expires(c, "go:e"))
	absolute := int32(time.Now().Unix() + 600)
	must(c.Set(&memcache.Item{Key: "go:e", Value: []byte("x"), Expiration: absolute}))
	check("an absolute exptime in the future keeps", holds(c, "go:e", "x"))
}

func values(c *memcache.Client) {
	large := make([]byte, 900*1024)
	for i := range large {
		large[i] = byte(i * 31 % 251)
	}
	must(c.Set(&memcache.Item{Key: "go:large", Value: large}))
	found, err := c.Get("go:large")
	check("900 KB come back", err == nil && bytes.Equal(found.Value, large))
	binary := []byte("\r\nEND\r\n\x00\r\n")
	for i := 0; i < 256; i++ {
		binary = append(binary, byte(i))
	}
	must(c.Set(&memcache.Item{Key: "go:binary", Value: binary}))
	check("every byte comes back", holds(c, "go:binary", string(binary)))
	must(c.Set(item("go:empty", "")))
	check("an empty value comes back", holds(c, "go:empty", ""))
}

func server(c *memcache.Client) {
	check("flush_all", c.FlushAll() == nil && missing(c, "go:a"))
	replies := make(chan error)
	for i := 0; i < 64; i++ {
		go func(key string) {
			if err := c.Set(item(key, key)); err != nil {
				replies <- err
			} else if !holds(c, key, key) {
				replies <- fmt.Errorf("%s has another value", key)
			} else {
				replies <- nil
			}
		}(fmt.Sprint("go:p", i))
	}
	for i := 0; i < 64; i++ {
		must(<-replies)
	}
	check("64 goroutines at once", true)
}
