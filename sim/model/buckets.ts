/** The model's buckets: names are shared by all accounts; a bucket that has only unfinished uploads counts as empty. */
import { fail } from "@hayloft/base/failures.js"
import type { Bucket, Buckets, BucketUsage, DefaultRetention } from "@hayloft/objects/contract.js"
import type { BucketSettingName, SettingRecord } from "@hayloft/engine/format/records.js"
import { byText } from "./listings.js"
import { storedBytesOf, type ModelState } from "./state.js"

export class ModelBuckets implements Buckets {
  constructor(private readonly state: ModelState) {}

  async create(request: Parameters<Buckets["create"]>[0]): Promise<Bucket> {
    const { name, owner, location, settings = new Map<BucketSettingName, string>(), hasLock = false } = request
    const there = this.state.buckets.get(name)
    if (there !== undefined) throw fail(there.bucket.owner === owner ? "bucketOwnedByYou" : "bucketExists")
    const createdMs = this.state.clock.wallMs()
    const stored = new Map(Array.from(settings, ([setting, document]) => [setting, { setMs: createdMs, document }]))
    const bucket: Bucket = {
      id: this.state.nextBucketId(),
      name,
      owner,
      createdMs,
      location,
      ...(hasLock ? { versioning: "enabled", lock: { defaultRetention: undefined } } : { versioning: "never" }),
      settings: [...stored.keys()],
      settingsVersion: 1,
    }
    this.state.buckets.set(name, {
      bucket,
      settings: stored,
      keys: new Map(),
      uploads: new Map(),
      completions: new Map(),
      lastModifiedMs: new Map(),
      nowMs: () => this.state.clock.wallMs(),
    })
    return bucket
  }

  openConfirmed(name: Bucket["name"]): Promise<Bucket> {
    return this.open(name)
  }

  confirm(): undefined {
    return undefined
  }

  async open(name: Bucket["name"]): Promise<Bucket> {
    const found = this.state.buckets.get(name)
    if (found === undefined) throw fail("noSuchBucket")
    return found.bucket
  }

  async remove(bucket: Bucket): Promise<void> {
    if (this.state.open(bucket).keys.size > 0) throw fail("bucketNotEmpty")
    this.state.buckets.delete(bucket.name)
  }

  async list({ owner, prefix = "", after = "", max }: Parameters<Buckets["list"]>[0]): ReturnType<Buckets["list"]> {
    const all = [...this.state.buckets.values()]
      .map(({ bucket }) => bucket)
      .filter(bucket => bucket.owner === owner && bucket.name.startsWith(prefix) && bucket.name > after)
      .sort((a, b) => byText(a.name, b.name))
    const buckets = all.slice(0, max)
    return { buckets, next: all.length > max ? buckets.at(-1)?.name : undefined }
  }

  async setVersioning(bucket: Bucket, versioning: "enabled" | "suspended"): Promise<void> {
    const found = this.state.open(bucket)
    if (found.bucket.lock !== undefined && versioning !== "enabled") {
      throw fail("lockNeedsVersioning", {
        message: "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
      })
    }
    found.bucket = { ...found.bucket, versioning }
  }

  async setLock(bucket: Bucket, defaultRetention: DefaultRetention | undefined): Promise<void> {
    const found = this.state.open(bucket)
    if (found.bucket.versioning !== "enabled") {
      throw fail("lockNeedsVersioning", {
        message: "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
      })
    }
    found.bucket = { ...found.bucket, lock: { defaultRetention } }
  }

  async setting(bucket: Bucket, name: BucketSettingName): Promise<SettingRecord | undefined> {
    return this.state.open(bucket).settings.get(name)
  }

  async setSetting(bucket: Bucket, name: BucketSettingName, document: string | undefined): Promise<void> {
    const found = this.state.open(bucket)
    if (document === undefined) found.settings.delete(name)
    else found.settings.set(name, { setMs: this.state.clock.wallMs(), document })
    const settingsVersion = found.bucket.settingsVersion + 1
    found.bucket = { ...found.bucket, settings: [...found.settings.keys()], settingsVersion }
  }

  async changeSetting(bucket: Bucket, name: BucketSettingName, change: (former?: string) => string): Promise<void> {
    await this.setSetting(bucket, name, change(this.state.open(bucket).settings.get(name)?.document))
  }

  async usage(bucket: Bucket): Promise<BucketUsage> {
    const { keys, uploads } = this.state.open(bucket)
    const versions = [...keys.values()].flat()
    return {
      objects: [...keys.values()].filter(([latest]) => latest?.kind === "object").length,
      versions: versions.length,
      bytes: versions.reduce((sum, version) => sum + (version.kind === "object" ? storedBytesOf(version) : 0), 0),
      uploads: uploads.size,
      kept: { objects: 0, bytes: 0 },
    }
  }
}
