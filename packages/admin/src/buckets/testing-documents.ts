/** Settings of buckets in memory, for tests of the admin API: `policy` can be removed, and `acl` cannot. */
import { fail } from "@hayloft/base/failures.js"
import type { BucketDocuments } from "@hayloft/features/operator/index.js"

export class FakeDocuments implements BucketDocuments {
  readonly names = ["policy", "acl"]
  readonly values = new Map<string, Readonly<Record<string, unknown>>>()
  /** Refused by the policy of the bucket. */
  denied = ""

  canRemove(name: string): boolean {
    return name === "policy"
  }

  actionOf(name: string, method: "GET" | "PUT" | "DELETE"): string {
    return `s3:${{ GET: "Get", PUT: "Put", DELETE: "Delete" }[method]}Bucket${name === "policy" ? "Policy" : "Acl"}`
  }

  async get(_: unknown, name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    if (name === this.denied) throw fail("accessDenied", { message: "the policy refuses it" })
    return this.values.get(name)
  }

  async put(_: unknown, name: string, value: Readonly<Record<string, unknown>>): Promise<void> {
    this.values.set(name, value)
  }

  lifecycleRules(value: Readonly<Record<string, unknown>>): string {
    if (value["Rules"] === undefined) throw fail("invalidRequest", { message: "At least one lifecycle rule" })
    return JSON.stringify(value)
  }

  async remove(_: unknown, name: string): Promise<void> {
    if (!this.canRemove(name)) throw fail("invalidArgument", { message: `${name} cannot be removed` })
    this.values.delete(name)
  }
}
