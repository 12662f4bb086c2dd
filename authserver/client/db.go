package client

import (
	"context"
	"fmt"
	"time"

	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5"
)

// callTimeout is how long the database may take for an answer.
const callTimeout = 5 * time.Second

type clientRow struct {
	ClientID                string
	Name                    string
	Domain                  string
	Enabled                 bool
	Type                    string
	TokenEndpointAuthMethod string
	GrantTypes              []string
	RedirectURIs            []string
	PostLogoutRedirectURIs  []string
	AllowedOrigins          []string
	Scope                   []string
	Resources               []string
	JWKS                    []byte
	JWKSURI                 string
	Trusted                 bool
	RequirePKCE             bool
	MayIntrospect           bool
	Subject                 string
	IDTokenClaims           string
	AccessTokenClaims       string
	GroupsInProfile         bool
	IDTokenAlg              string
	AccessTokenAlg          string
	AccessTokenTyp          string
	CodeLifetime            time.Duration
	AccessTokenLifetime     time.Duration
	IDTokenLifetime         time.Duration
	RefreshTokenLifetime    time.Duration
	GrantLifetime           time.Duration
	Debug                   bool
	SecretIDs               []int64
	SecretSHA256            [][]byte
	SecretHash              []string
	SecretExpiresAt         []*time.Time
}

func (r clientRow) client() *Client {
	return &Client{
		ClientID:               r.ClientID,
		Name:                   r.Name,
		Domain:                 r.Domain,
		Enabled:                r.Enabled,
		Type:                   r.Type,
		AuthMethod:             r.TokenEndpointAuthMethod,
		GrantTypes:             r.GrantTypes,
		RedirectURIs:           r.RedirectURIs,
		PostLogoutRedirectURIs: r.PostLogoutRedirectURIs,
		AllowedOrigins:         r.AllowedOrigins,
		Scope:                  r.Scope,
		Resources:              r.Resources,
		Trusted:                r.Trusted,
		RequirePKCE:            r.RequirePKCE || r.Type == Public,
		MayIntrospect:          r.MayIntrospect,
		Subject:                r.Subject,
		IDTokenClaims:          r.IDTokenClaims,
		AccessTokenClaims:      r.AccessTokenClaims,
		GroupsInProfile:        r.GroupsInProfile,
		IDTokenAlg:             r.IDTokenAlg,
		AccessTokenAlg:         r.AccessTokenAlg,
		AccessTokenTyp:         r.AccessTokenTyp,
		CodeLifetime:           r.CodeLifetime,
		AccessTokenLifetime:    r.AccessTokenLifetime,
		IDTokenLifetime:        r.IDTokenLifetime,
		RefreshTokenLifetime:   r.RefreshTokenLifetime,
		GrantLifetime:          r.GrantLifetime,
		Debug:                  r.Debug,
	}
}

func (r clientRow) secrets() []*secret {
	secrets := make([]*secret, len(r.SecretIDs))
	for i, id := range r.SecretIDs {
		secrets[i] = &secret{id: id, sha256: r.SecretSHA256[i], hash: r.SecretHash[i]}
		if end := r.SecretExpiresAt[i]; end != nil {
			secrets[i].expiresAt = *end
		}
	}
	return secrets
}

// findClients calls api.oauth2_clients.
func findClients(ctx context.Context, db pg.Querier) ([]clientRow, error) {
	rows, _ := db.Query(ctx, // its error comes out of CollectRows
		`select client_id, name, coalesce(domain, '') as domain, enabled, type, token_endpoint_auth_method, grant_types,
		        redirect_uris, post_logout_redirect_uris, allowed_origins, scope, resources, jwks, coalesce(jwks_uri, '') as jwks_uri,
		        trusted, require_pkce, may_introspect, subject, id_token_claims, access_token_claims,
		        groups_in_profile, id_token_alg, coalesce(access_token_alg, '') as access_token_alg, access_token_typ,
		        code_lifetime, access_token_lifetime, id_token_lifetime, refresh_token_lifetime, grant_lifetime, debug,
		        secret_ids, secret_sha256, secret_hash, secret_expires_at
		   from api.oauth2_clients()`)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[clientRow])
	if err != nil {
		return nil, fmt.Errorf("OAuth 2.0 clients: %w", err)
	}
	return found, nil
}

// findClaims calls api.oauth2_claims.
func findClaims(ctx context.Context, db pg.Querier) ([]Claim, error) {
	rows, _ := db.Query(ctx, `select name, attribute, scope, type from api.oauth2_claims()`)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Claim])
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return found, nil
}

// rehashSecret calls api.rehash_oauth2_client_secret.
func rehashSecret(ctx context.Context, db pg.Querier, s *secret, sum [32]byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rows, _ := db.Query(ctx, `select api.rehash_oauth2_client_secret($1, $2, $3, null)`, s.id, s.hash, sum[:])
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("rehash secret of OAuth 2.0 client: %w", err)
	}
	return nil
}
