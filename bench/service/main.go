// Command service is what the bench swaps: a program of the size that one has with client-go, which lists the namespaces
// of its cluster where it can, and says on request which edit it holds.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// count says once how many namespaces there are.
func count(ctx context.Context, clients corev1.CoreV1Interface) {
	list, err := clients.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		fmt.Println("service: no namespaces:", err)
		return
	}
	fmt.Println("service: namespaces:", len(list.Items))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if config, err := rest.InClusterConfig(); err == nil {
		if clients, err := corev1.NewForConfig(config); err == nil {
			go count(ctx, clients)
		}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, answer()) })
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}
