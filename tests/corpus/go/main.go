// A web service as they stand on scratch: one static binary, its config, its
// pages, and the system's certificates and time zones.
package main

import (
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

type config struct {
	Listen string `json:"listen"`
	Title  string `json:"title"`
	Pages  string `json:"pages"`
}

func main() {
	path := flag.String("config", "", "path of the config")
	flag.Parse()
	text, err := os.ReadFile(*path)
	if err != nil {
		log.Fatal(err)
	}
	var config config
	if err := json.Unmarshal(text, &config); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		page(w, config, "front.html")
	})
	http.HandleFunc("/about", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zipped := gzip.NewWriter(w)
		defer zipped.Close()
		page(zipped, config, "about.html")
	})
	http.HandleFunc("/time", func(w http.ResponseWriter, r *http.Request) {
		zone, err := time.LoadLocation(r.URL.Query().Get("zone"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, time.Unix(0, 0).In(zone).Format(time.RFC3339))
	})
	http.HandleFunc("/roots", func(w http.ResponseWriter, r *http.Request) {
		pool, err := x509.SystemCertPool()
		if err != nil || pool.Equal(x509.NewCertPool()) {
			http.Error(w, fmt.Sprint("no roots: ", err), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "roots are there")
	})
	log.Fatal(http.ListenAndServe(config.Listen, nil))
}

func page(w interface{ Write([]byte) (int, error) }, config config, name string) {
	page, err := template.ParseFiles(filepath.Join(config.Pages, name))
	if err != nil {
		log.Print(err)
		fmt.Fprint(w, err)
		return
	}
	page.Execute(w, config)
}
