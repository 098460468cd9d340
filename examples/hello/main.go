// Command hello is the service that the quick start and the tests build, swap and debug.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "unknown"

func main() {
	addr := flag.String("addr", envOr("HELLO_ADDR", ":8080"), "address to listen on; the default comes from HELLO_ADDR")
	flag.Parse()
	if err := run(*addr); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// greeting is what / answers. Edit it, build and deploy: the next request shows the change.
func greeting() string {
	return "hello, version " + version
}

// run serves on addr until SIGTERM or SIGINT.
func run(addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, greeting()) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("hello, version %s: ready on %s\n", version, listener.Addr())

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// requests in flight may finish, but nobody waits longer than a second for them
	patience, cancel := context.WithTimeout(context.Background(), 900*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(patience); errors.Is(err, context.DeadlineExceeded) {
		server.Close()
	}
	fmt.Println("hello: stopped")
	return nil
}

// envOr returns the environment variable, or other where it is not set or empty.
func envOr(key, other string) string {
	if value := os.Getenv(key); value != "" {
		return value
	}
	return other
}
