// Command server is a small HTTP service that can say what still works in the image it runs in.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var requests = promauto.NewCounterVec(
	prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests answered, by path."},
	[]string{"path"},
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	server := &http.Server{Addr: ":8080", Handler: routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	slog.Info("listening", "address", server.Addr, "go", runtime.Version())

	select {
	case err := <-failed:
		slog.Error("cannot serve", "error", err)
		os.Exit(1)
	case <-ctx.Done():
	}

	finish, cancel := context.WithTimeout(context.Background(), 800*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(finish); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		slog.Error("cannot stop cleanly", "error", err)
		os.Exit(1)
	}
	slog.Info("stopped")
}

func routes() http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer, countRequests)
	router.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]bool{"ok": true}) })
	router.Get("/", func(w http.ResponseWriter, _ *http.Request) { answer(w, about()) })
	router.Get("/selfcheck", func(w http.ResponseWriter, r *http.Request) { answer(w, selfCheck(r.Context())) })
	router.Handle("/metrics", promhttp.Handler())
	return router
}

func countRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		requests.WithLabelValues(chi.RouteContext(r.Context()).RoutePattern()).Inc()
	})
}

func about() map[string]string {
	return map[string]string{
		"app": "shiplight", "language": "go", "version": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Error("cannot answer", "error", err)
	}
}
