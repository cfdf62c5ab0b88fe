/** Materials of named keys in memory, for tests of services. */
import { fail } from "@hayloft/base/failures.js"
import type { KmsKeyId } from "@hayloft/base/ids.js"
import type { KeyMaterials, KeyWithMaterials } from "./built-in.js"

export class MemoryMaterials implements KeyMaterials {
  private readonly made = new Map<string, Uint8Array>()
  /** When the materials that are made from now on are said to have been made. */
  nowMs = 0
  /** How many calls have added one. */
  added = 0
  /** How many of the next removals fail. */
  failures = 0
  /** By key and version. */
  private readonly times = new Map<KmsKeyId, Map<number, number>>()

  get(keyId: KmsKeyId, version: number): Uint8Array {
    const found = this.made.get(`${keyId} ${version}`)
    if (found === undefined) throw fail("keysUnavailable", { keyId, version })
    return found
  }

  async add(keyId: KmsKeyId, version: number, material?: Uint8Array): Promise<void> {
    const name = `${keyId} ${version}`
    this.added += 1
    const times = this.times.get(keyId) ?? new Map<number, number>()
    this.times.set(keyId, times)
    if (!times.has(version)) times.set(version, this.nowMs)
    if (!this.made.has(name)) this.made.set(name, material ?? new Uint8Array(32).fill(this.made.size + 1))
  }

  async remove(keyId: KmsKeyId): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1
      throw fail("deviceFailed")
    }
    for (const name of this.made.keys()) if (name.startsWith(keyId)) this.made.delete(name)
    this.times.delete(keyId)
  }

  all(): readonly KeyWithMaterials[] {
    return [...this.times].map(([keyId, times]) => {
      return { keyId, versions: [...times].map(([version, createdMs]) => ({ version, createdMs })) }
    })
  }
}
