package occ_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// Thing has a composite key, a token version, and a column of every kind.
type Thing struct {
	Tenant  string         `occ:"tenant,key"`
	ID      int64          `occ:"id,key"`
	Name    string         `occ:"name"`
	Doc     map[string]any `occ:"doc,json"`
	Raw     []byte         `occ:"raw"`
	At      time.Time      `occ:"at"`
	Local   time.Time      `occ:"local"`
	Note    string         `occ:"note,nullable"`
	Maybe   *int64         `occ:"maybe"`
	Amount  float64        `occ:"amount"`
	Ratio   float64        `occ:"ratio"`
	Single  float32        `occ:"single"`
	Flag    bool           `occ:"flag"`
	Mood    string         `occ:"mood"`
	Code    string         `occ:"code"`
	Version string         `occ:"version,version=token"`
}

type thingKey struct {
	Tenant string `occ:"tenant"`
	ID     int64  `occ:"id"`
}

var thingTables = map[string][]string{
	"postgres": {
		"CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\", {x}')",
		"CREATE DOMAIN short AS varchar(9) CHECK (value <> 'refused')",
		`CREATE TABLE things (tenant short, id bigint, name text NOT NULL, doc jsonb, raw bytea, at timestamptz NOT NULL, local timestamp NOT NULL,
			note varchar(40), maybe smallint, amount numeric(12,2), ratio double precision, single real, flag boolean, mood mood, code char(5), version uuid NOT NULL, PRIMARY KEY (tenant, id))`,
	},
	"mariadb": {
		`CREATE TABLE things (tenant varchar(9), id bigint, name text NOT NULL, doc json, raw blob, at datetime(6) NOT NULL, local datetime(6) NOT NULL,
			note varchar(40), maybe smallint, amount decimal(12,2), ratio double, single float, flag boolean, mood enum('sad', 'it''s "ok", {x}'), code char(5), version char(36) NOT NULL, PRIMARY KEY (tenant, id)) COLLATE utf8mb4_bin`,
	},
	"sqlite": {
		`CREATE TABLE things (tenant text, id bigint, name text NOT NULL, doc text, raw blob, at timestamp NOT NULL, local timestamp NOT NULL,
			note text, maybe smallint, amount real, ratio real, single real, flag boolean, mood text, code text, version text NOT NULL, PRIMARY KEY (tenant, id))`,
	},
}

// nasty are texts that a careless quotation breaks.
var nasty = []string{
	"", "NULL", "null", `"`, `""`, `\`, `\\`, `\"`, "{", "}", "{}", "{a,b}", ",", "'", "''", "$1", "$$", "?", "%s", " lead and trail ",
	"tab\tnewline\nreturn\r", "ünïcödé 漢字 🙂", "(1,2)", `\x41`, "a,b\"c\\d{e}f'g", strings.Repeat("long ", 500),
}

func things(nan bool) []Thing {
	big := int64(math.MaxInt16)
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.FixedZone("", 5*3600+1800))
	rows := make([]Thing, len(nasty))
	for i, text := range nasty {
		rows[i] = Thing{
			Tenant: "a\"b\\{c}", ID: int64(i), Name: text, Doc: map[string]any{text: []any{text, nil, 1.5, true}}, Raw: []byte(text + "\x00\xff"),
			At: at.Add(time.Duration(i) * time.Hour), Local: time.Date(1969, 7, 20, 20, 17, 40, 1000*i, time.UTC), Amount: -1234.56 * float64(i),
			Ratio: math.Pi * math.Pow(10, float64(10*i-120)), Single: 0.1, Flag: i%2 == 0, Mood: `it's "ok", {x}`, Code: "ab",
		}
		if i%3 == 0 {
			rows[i].Maybe, rows[i].Note, rows[i].Mood = &big, string([]rune(text)[:min(len([]rune(text)), 10)]), "sad"
		}
		if i%5 == 1 {
			rows[i].Doc, rows[i].Raw = nil, nil
		}
	}
	if nan {
		rows[1].Ratio, rows[2].Ratio, rows[3].Ratio = math.Inf(1), math.Inf(-1), math.NaN()
	}
	return rows
}

// normal makes rows comparable.
func normal(rows map[thingKey]Thing, name string) map[int64]Thing {
	made := map[int64]Thing{}
	for key, row := range rows {
		if key.Tenant == name {
			row.Tenant, row.Version = "", ""
			row.At, row.Local = row.At.UTC(), row.Local.UTC()
			if math.IsNaN(row.Ratio) {
				row.Ratio = -42
			}
			made[key.ID] = row
		}
	}
	return made
}

// TestBulkTypes writes the same values one by one and together: they must come
// out the same.
func TestBulkTypes(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			transport, dialect, exec := e.open(t, 2)
			for _, text := range thingTables[dialect.Name()] {
				exec(text)
			}
			repo, err := occ.NewRepository[Thing, thingKey](occ.New(transport, dialect, nil), "things", nil)
			require.NoError(t, err)
			postgres := dialect.Name() == "postgres"
			single, together, updated := things(postgres), things(postgres), make([]Thing, len(nasty))
			for i := range together {
				single[i].Tenant = "single"
				require.NoError(t, repo.Insert(ctx, &single[i]), "%q", nasty[i])
				updated[i] = Thing{Tenant: "updated", ID: int64(i), Mood: "sad", At: time.Unix(0, 0), Local: time.Unix(0, 0)}
			}
			outcomes, err := repo.InsertMany(ctx, together, occ.AllOrNothing)
			require.NoError(t, err)
			require.Equal(t, outcomes[0].Version, together[0].Version)
			require.NotEqual(t, together[0].Version, together[1].Version)
			_, err = repo.InsertMany(ctx, updated, occ.BestEffort)
			require.NoError(t, err)
			for i, row := range things(postgres) {
				row.Tenant, row.Version = "updated", updated[i].Version
				updated[i] = row
			}
			outcomes, err = repo.UpdateMany(ctx, updated, occ.AllOrNothing)
			require.NoError(t, err)
			table := map[thingKey]Thing{}
			for row, err := range repo.Find(ctx, "") {
				require.NoError(t, err)
				table[thingKey{row.Tenant, row.ID}] = row
			}
			require.Equal(t, normal(table, "single"), normal(table, together[0].Tenant))
			require.Equal(t, normal(table, "single"), normal(table, "updated"))
			require.Len(t, normal(table, "updated"), len(nasty))
			for i, row := range updated {
				require.Equal(t, table[thingKey{"updated", row.ID}].Version, row.Version)
				require.Equal(t, row.Version, outcomes[i].Version)
			}

			// A stale token, and its current row with all its columns.
			held := updated[5]
			require.NoError(t, repo.Update(ctx, &updated[5]))
			outcomes, err = repo.UpdateMany(ctx, []Thing{updated[6], held}, occ.BestEffort)
			require.ErrorIs(t, err, occ.ErrConflict)
			require.NoError(t, outcomes[0].Err)
			var conflict *occ.Conflict[Thing]
			require.ErrorAs(t, outcomes[1].Err, &conflict)
			require.Equal(t, updated[5].Version, conflict.Current.Version)
			require.Equal(t, updated[5].Doc, conflict.Current.Doc)

			if postgres {
				refusedTogether(t, repo, together)
			}
		})
	}
}

// refusedTogether: lengths and domains are checked, not cut, and in BestEffort
// mode take nobody else with them.
func refusedTogether(t *testing.T, repo *occ.Repository[Thing, thingKey], rows []Thing) {
	t.Helper()
	rows = append([]Thing(nil), rows[:10]...)
	rows[3].Note, rows[7].Code = strings.Repeat("x", 41), "too long"
	_, err := repo.UpdateMany(t.Context(), rows, occ.AllOrNothing)
	require.ErrorContains(t, err, "value too long")
	require.NotErrorIs(t, err, occ.ErrAmbiguous)
	outcomes, err := repo.UpdateMany(t.Context(), rows, occ.BestEffort)
	var bulk *occ.BulkError
	require.ErrorAs(t, err, &bulk)
	require.Len(t, bulk.Rows, 2)
	for i, o := range outcomes {
		if i == 3 || i == 7 {
			require.ErrorContains(t, o.Err, "value too long")
			continue
		}
		require.NoError(t, o.Err)
	}
	outcomes, err = repo.InsertMany(t.Context(), []Thing{
		{Tenant: "refused", ID: 1, Mood: "sad"}, {Tenant: "tenant is long", ID: 1, Mood: "sad"}, {Tenant: "fine", ID: 1, Mood: "sad"},
	}, occ.BestEffort)
	require.Error(t, err)
	require.ErrorContains(t, outcomes[0].Err, "violates check constraint")
	require.ErrorContains(t, outcomes[1].Err, "value too long")
	require.NoError(t, outcomes[2].Err)
}

// Odd has what can go wrong on the way to a statement.
type Odd struct {
	ID      int64 `occ:"id,key"`
	Doc     any   `occ:"doc,json"`
	Version int64 `occ:"version,version"`
}

func TestBulkRowsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			transport, dialect, exec := e.open(t, 2)
			exec("CREATE TABLE odd (id BIGINT PRIMARY KEY, doc " + map[string]string{"postgres": "json", "mariadb": "json", "sqlite": "text"}[dialect.Name()] + ", version BIGINT NOT NULL)")
			repo, err := occ.NewRepository[Odd, int64](occ.New(transport, dialect, nil), "odd", nil)
			require.NoError(t, err)
			rows := []Odd{{ID: 1}, {ID: 2}, {ID: 3}}
			_, err = repo.InsertMany(ctx, rows, occ.AllOrNothing)
			require.NoError(t, err)
			rows[0].Doc, rows[2].Version = make(chan int), math.MaxInt64
			outcomes, err := repo.UpdateMany(ctx, rows, occ.AllOrNothing)
			require.ErrorIs(t, err, occ.ErrOverflow)
			require.ErrorIs(t, outcomes[0].Err, occ.ErrUsage)
			require.ErrorIs(t, outcomes[1].Err, occ.ErrNotApplied)
			outcomes, err = repo.UpdateMany(ctx, rows, occ.BestEffort)
			require.ErrorIs(t, err, occ.ErrOverflow)
			require.ErrorIs(t, outcomes[0].Err, occ.ErrUsage)
			require.NoError(t, outcomes[1].Err)
			require.ErrorIs(t, outcomes[2].Err, occ.ErrOverflow)
			require.Equal(t, int64(2), rows[1].Version)
		})
	}
}
