"""The only SQL: tables, migrations, and one module per subject. Table objects do not leave it."""
