package main

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"time"
)

// SelfCheck says what this image still offers its program. Every app answers the same fields.
type SelfCheck struct {
	CACertificates    int  `json:"ca_certificates"`    // how many certificate authorities were found; 0: HTTPS to others fails
	TimeZones         bool `json:"time_zones"`         // whether the zone Europe/Paris loads
	TmpWritable       bool `json:"tmp_writable"`       // whether a file can be written to /tmp
	UserID            int  `json:"user_id"`            // 0 is root
	ResolvesLocalhost bool `json:"resolves_localhost"` // whether the name localhost has an address
	ResolvesOwnName   bool `json:"resolves_own_name"`  // whether the container's host name has an address
}

func selfCheck(ctx context.Context) SelfCheck {
	_, zoneError := time.LoadLocation("Europe/Paris")
	hostname, _ := os.Hostname()
	return SelfCheck{
		CACertificates:    caCertificates(),
		TimeZones:         zoneError == nil,
		TmpWritable:       tmpWritable(),
		UserID:            os.Getuid(),
		ResolvesLocalhost: resolves(ctx, "localhost"),
		ResolvesOwnName:   resolves(ctx, hostname),
	}
}

func caCertificates() int {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return 0
	}
	return len(pool.Subjects()) //nolint:staticcheck // only the system's own pool is counted
}

func tmpWritable() bool {
	file, err := os.CreateTemp("/tmp", "selfcheck-")
	if err != nil {
		return false
	}
	defer os.Remove(file.Name())
	return file.Close() == nil
}

func resolves(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	return err == nil && len(addresses) > 0
}
