package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"authbridge/authserver/address"
	"authbridge/authserver/token"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func domainDNSCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "dns",
		Usage: "print the TXT records that a domain should publish",
		Description: "DKIM: the keys that sign or are about to. SPF and DMARC are suggestions to begin\n" +
			"with: the first assumes that mail leaves by the servers that receive it.",
		ArgsUsage: "DOMAIN",
		Flags:     []cli.Flag{out.flag("zone")},
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				records, err := wantedRecords(ctx, c, conn, domain)
				if err != nil {
					return err
				}
				var rows []listedRecord
				for _, r := range records {
					rows = append(rows, listedRecord{string(r.Kind), r.Name, "TXT", r.Text})
				}
				return printList(c.App.Writer, out, rows, func(r listedRecord) string {
					return token.Record{Name: r.Name, Text: r.Text}.Zone()
				})
			})
		},
	}
}

// listedRecord is a record to publish as the list shows it.
type listedRecord struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Type string `json:"type"`
	Text string `json:"text"`
}

// checkTime is how long the DNS may take to answer for all records.
const checkTime = 20 * time.Second

func domainCheckDNSCommand(db *database) *cli.Command {
	var out format
	var resolver resolverFlag
	return &cli.Command{
		Name:  "check-dns",
		Usage: "compare what a domain publishes with what it should",
		Description: "A DKIM record must have the domain's key. Of SPF and DMARC there must be one valid\n" +
			"record, whatever it says. Exits 1 if anything is missing or differs, or if the\n" +
			"DNS does not answer, which the last line on stderr tells apart.",
		ArgsUsage: "DOMAIN",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "resolver", Usage: "ask the DNS server `HOST[:PORT]` (default: those of the system)", Value: &resolver},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				records, err := wantedRecords(ctx, c, conn, domain)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(ctx, checkTime)
				defer cancel()
				findings := token.CheckDNS(ctx, resolver.orSystem(), records)
				var rows []listedFinding
				for _, f := range findings {
					rows = append(rows, listedFinding{string(f.Record.Kind), f.Record.Name, string(f.Status), f.Detail, append([]string{}, f.Found...)})
				}
				if err := printList(c.App.Writer, out, rows, nil); err != nil {
					return err
				}
				return verdict(findings)
			})
		},
	}
}

// listedFinding is what was found out about a record, as the list shows it.
type listedFinding struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Status string   `json:"status"`
	Detail string   `json:"detail"`
	Found  []string `json:"found"`
}

// verdict returns what is wrong as an error, or nil.
func verdict(findings []token.Finding) error {
	number := make(map[token.Status]int)
	for _, f := range findings {
		number[f.Status]++
	}
	wrong, unknown := number[token.Missing]+number[token.Differs], number[token.Temporary]
	switch {
	case wrong > 0 && unknown > 0:
		return fmt.Errorf("DNS: %d of %d records missing or different, %d not known: the DNS does not answer, try again", wrong, len(findings), unknown)
	case wrong > 0:
		return fmt.Errorf("DNS: %d of %d records missing or different", wrong, len(findings))
	case unknown > 0:
		return fmt.Errorf("DNS: %d of %d records not known: the DNS does not answer, try again", unknown, len(findings))
	}
	return nil
}

// resolverFlag is the DNS server to ask; that of the system if it is not set.
type resolverFlag struct {
	server   string
	resolver *net.Resolver
}

func (r *resolverFlag) Set(s string) error {
	if s == "" {
		return errors.New("want HOST or HOST:PORT")
	}
	resolver, err := token.Resolver(s)
	if err != nil {
		return err
	}
	*r = resolverFlag{s, resolver}
	return nil
}

func (r *resolverFlag) String() string { return r.server }

func (r *resolverFlag) orSystem() *net.Resolver {
	if r.resolver == nil {
		return net.DefaultResolver
	}
	return r.resolver
}

// wantedRecords returns the records that a domain should publish. It warns if
// there is no DKIM key among them.
func wantedRecords(ctx context.Context, c *cli.Context, conn *pgx.Conn, domain address.Domain) ([]token.Record, error) {
	if _, err := findDomain(ctx, conn, domain); err != nil {
		return nil, err
	}
	keys, err := findKeys(ctx, conn, domainOwner(domain, ""))
	if err != nil {
		return nil, err
	}
	var records []token.Record
	for _, k := range keys {
		if k.Purpose != string(token.DKIM) || k.State == "retired" {
			continue
		}
		pub, err := token.UnmarshalPublic(k.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("key %s of %s: %w", *k.Selector, domain, err)
		}
		record, err := token.DKIMRecord(domain.String(), *k.Selector, pub)
		if err != nil {
			return nil, fmt.Errorf("key %s of %s: %w", *k.Selector, domain, err)
		}
		records = append(records, record)
	}
	if len(records) == 0 {
		say(c, "warning: %s has no DKIM key, so its mail is not signed; domain edit --create-key dkim makes one", domain)
	}
	return append(records, token.SPFRecord(domain.String()), token.DMARCRecord(domain.String())), nil
}
