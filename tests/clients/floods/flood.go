// Goroutines with a gomemcache client each that get what they can, as an application does that goes on
// after an error. Ends when its standard input does.
//
// Debian's release of the library keeps two idle connections of a client, so that one shared by all
// would connect anew with each command whatever the server does. It dials by itself, so this program
// forwards a Unix socket to the TLS endpoint, with a TLS connection for each of the library's.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bradfitz/gomemcache/memcache"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	must(err)
	dir, err := os.MkdirTemp("", "memtide-flood")
	must(err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "cache.sock")
	must(forward(socket))
	for range make([]struct{}, count) {
		go func() {
			client := memcache.New(socket)
			for {
				client.Get("k")
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin)
}

func forward(socket string) error {
	pem, err := os.ReadFile(os.Getenv("MEMTIDE_CA"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	host := os.Getenv("MEMTIDE_HOST")
	config := &tls.Config{RootCAs: roots, ServerName: host}
	address := net.JoinHostPort(host, os.Getenv("MEMTIDE_PORT"))
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := tls.Dial("tcp", address, config)
				if err != nil {
					return
				}
				go func() { io.Copy(far, near); far.Close() }()
				io.Copy(near, far)
			}()
		}
	}()
	return nil
}
