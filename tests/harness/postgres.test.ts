/** The database server of tests: it serves, keeps what it acknowledged through a crash, and never runs as root. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { noPostgres, withPostgres } from "./postgres.js"

test(
  "a database server serves, survives a crash on the same port, and does not run as root",
  { skip: noPostgres },
  () =>
    withPostgres(async postgres => {
      await postgres.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)", "hayloft")
      await postgres.stop("immediate")
      await postgres.start()
      assert.equal(await postgres.sql("SELECT sum(a) FROM t", "hayloft"), "3\n")
      const reader = "CREATE TABLE users (line text); COPY users FROM PROGRAM 'id -u'; SELECT line FROM users"
      assert.notEqual(await postgres.sql(reader, "hayloft"), "0\n")
    }),
)
