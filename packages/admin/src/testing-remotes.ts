/** Remote buckets in memory, for tests of the admin API: nothing is sent anywhere. */
import { objectKeyOfText } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type {
  PendingWrite,
  RemoteAdmin,
  RemoteSetting,
  ShownCache,
  ShownStore,
} from "@hayloft/features/remote-buckets/contract.js"

export const REMOTE_SETTING: RemoteSetting = {
  store: "aws",
  bucket: "data",
  prefix: "logs/",
  freshness: { check: "Age", maxAgeSeconds: 60 },
  serveStale: true,
  writes: "Back",
  opaqueEtags: false,
}

export class FakeRemotes implements RemoteAdmin {
  shownStores: readonly ShownStore[] = [
    {
      name: "aws",
      endpoint: "https://s3.example",
      region: "eu-central-1",
      accounts: ["root", "team"],
      requests: 12,
      failures: 2,
      lastError: "the remote does not respond",
      lastErrorMs: 5,
    },
    {
      name: "other",
      endpoint: "http://10.0.0.1:9000",
      region: "us-east-1",
      accounts: ["root"],
      requests: 0,
      failures: 0,
      lastError: undefined,
      lastErrorMs: undefined,
    },
  ]
  readonly shownCache: ShownCache = {
    sizeBytes: 2_048,
    sizeBytesMax: 8_192,
    hitBytes: 3_000,
    missBytes: 1_000,
    evictedBytes: 512,
  }
  writes: readonly PendingWrite[] = [
    {
      key: objectKeyOfText("día.txt"),
      kind: "put",
      sizeBytes: 2_048,
      sinceMs: 3,
      lastError: "the remote does not respond",
    },
    { key: objectKeyOfText("gone.txt"), kind: "delete", sizeBytes: 0, sinceMs: 4, lastError: undefined },
  ]
  readonly resumed: string[] = []
  remote: readonly { readonly bucket: Bucket; readonly setting: RemoteSetting }[] = []

  stores(): readonly ShownStore[] {
    return this.shownStores
  }

  cache(): ShownCache {
    return this.shownCache
  }

  async pending(_: Bucket, max: number): Promise<readonly PendingWrite[]> {
    return this.writes.slice(0, max)
  }

  async resume({ name }: Bucket): Promise<void> {
    this.resumed.push(name)
  }

  async buckets(): ReturnType<RemoteAdmin["buckets"]> {
    return this.remote
  }
}
