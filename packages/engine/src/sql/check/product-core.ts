/** The product and version of a server that speaks the protocol of PostgreSQL. Pure. */

export type Product = "PostgreSQL" | "CockroachDB" | "YugabyteDB" | "another product"

export interface ServerVersion {
  readonly product: Product
  readonly number: string
}

/** The product behind the answer to `SELECT version()`. */
export function versionOf(text: string): ServerVersion {
  const of = (product: Product, pattern: RegExp): ServerVersion | undefined => {
    const [, number] = pattern.exec(text) ?? []
    return number === undefined ? undefined : { product, number }
  }
  const found =
    of("CockroachDB", /CockroachDB.*?\bv(\d[\w.-]*)/) ??
    of("YugabyteDB", /-YB-(\d[\w.-]*)/) ??
    (/Redshift|Greenplum/.test(text) ? undefined : of("PostgreSQL", /^PostgreSQL (\d[\w.]*)/))
  return found ?? { product: "another product", number: "" }
}
