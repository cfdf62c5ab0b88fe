/** Tokens of the admin API, in memory, for its tests. */
import type { ShownAdminToken } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAdminTokenId, type AdminTokenId } from "@hayloft/base/ids.js"
import type { AdminStore } from "./api.js"

type Service = AdminStore["tokens"]

export class FakeTokens implements Service {
  /** By their texts. */
  readonly all = new Map<string, ShownAdminToken>()
  nowMs = 7

  async create({ name, scopes, expiresMs }: Parameters<Service["create"]>[0]): ReturnType<Service["create"]> {
    const id = parseAdminTokenId(`AAAAAAAAAA${["AA", "AB", "AC", "AD"][this.all.size] ?? "ZZ"}`)
    const token = { id, name, scopes, createdMs: this.nowMs, expiresMs, usedMs: undefined }
    const text = `hlt_${id}_${"s".repeat(40)}`
    this.all.set(text, token)
    return { token, text }
  }

  async list(): Promise<readonly ShownAdminToken[]> {
    return [...this.all.values()]
  }

  async revoke(id: AdminTokenId): Promise<void> {
    const [text] = [...this.all].find(([, token]) => token.id === id) ?? []
    if (text === undefined) throw fail("noSuchEntity")
    this.all.delete(text)
  }

  async verify(text: string): Promise<ShownAdminToken | undefined> {
    const token = this.all.get(text)
    return token?.expiresMs !== undefined && token.expiresMs <= this.nowMs ? undefined : token
  }
}
