package clickhouse

// Statements are those that make the tables.
func Statements(cfg Config) []string {
	t := tables{&cfg}
	return append(append(append([]string{t.versions()}, t.make()...), t.keep("", 0, cfg.Retention)...), t.keep("", 1, 0)...)
}
