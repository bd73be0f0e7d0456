// An API server of Kubernetes with its etcd, in one process, for tests of the chart: no node, no controller, no network.
//
//	guardrail-apiserver DIRECTORY [option of kube-apiserver ...]
//
// The etcd listens on ports of its own that are free; what it keeps is below DIRECTORY and of no use afterwards.
package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const startSeconds = 60

func etcd(directory string) (string, error) {
	settings := embed.NewConfig()
	settings.Dir = filepath.Join(directory, "etcd")
	settings.LogLevel = "error"
	// What it keeps is for one run, so nothing has to survive a power cut.
	settings.UnsafeNoFsync = true
	any := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	settings.ListenClientUrls, settings.AdvertiseClientUrls = any, any
	settings.ListenPeerUrls, settings.AdvertisePeerUrls = any, any
	settings.InitialCluster = settings.InitialClusterFromName(settings.Name)
	server, err := embed.StartEtcd(settings)
	if err != nil {
		return "", err
	}
	select {
	case <-server.Server.ReadyNotify():
		return (&url.URL{Scheme: "http", Host: server.Clients[0].Addr().String()}).String(), nil
	case err := <-server.Err():
		return "", err
	case <-time.After(startSeconds * time.Second):
		return "", fmt.Errorf("etcd was not ready after %d seconds", startSeconds)
	}
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: guardrail-apiserver DIRECTORY [option of kube-apiserver ...]")
		os.Exit(2)
	}
	address, err := etcd(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	command := app.NewAPIServerCommand()
	command.SetArgs(append([]string{"--etcd-servers=" + address}, os.Args[2:]...))
	os.Exit(cli.Run(command))
}
