/** Table stores: opens the metadata stores of one thread, with one block cache for all of them. */
import { residentBytesMax } from "@hayloft/base/seams/store/real-memory.js"
import type { LostRows, StoreHost, StoreReader, Stores, StoreWriter } from "@hayloft/base/seams/store/contract.js"
import { BlockCache } from "./block-cache.js"
import { BLOCK_CACHE_BYTES_MAX, TABLE_LIMITS, type TableLimits } from "./limits.js"
import { findLostRows, giveUpLostRows } from "./salvage.js"
import { holdsPlain } from "./manifest-files.js"
import { TableReader } from "./store-reader.js"
import { discardStore, TableStoreWriter } from "./store-writer.js"

interface TableStoresOptions {
  readonly cacheBytesMax?: number
  /** Stores up to this size are read on the calling thread. */
  readonly syncBytesMax?: number
  readonly limits?: TableLimits
}

export class TableStores implements Stores {
  readonly cache: BlockCache
  private readonly syncBytesMax: number
  private readonly limits: TableLimits

  constructor({ cacheBytesMax = BLOCK_CACHE_BYTES_MAX, syncBytesMax, limits }: TableStoresOptions = {}) {
    this.cache = new BlockCache(cacheBytesMax)
    this.syncBytesMax = syncBytesMax ?? residentBytesMax()
    this.limits = limits ?? TABLE_LIMITS
  }

  async openReader(path: string, host: StoreHost): Promise<StoreReader> {
    await host.disk.makeFolder(path)
    return TableReader.open(host, path, { cache: this.cache, syncBytesMax: this.syncBytesMax })
  }

  async openWriter(path: string, host: StoreHost): Promise<StoreWriter> {
    await host.disk.makeFolder(path)
    const options = { cache: this.cache, syncBytesMax: this.syncBytesMax, limits: this.limits }
    return TableStoreWriter.openWriter(host, path, options)
  }

  /** The unreadable rows of a store, by file; it must not be open. Throws `corruptRow` if its manifest is damaged. */
  findLostRows(path: string, host: StoreHost): Promise<readonly LostRows[]> {
    return findLostRows(host, path)
  }

  /** Finds the same rows as `findLostRows`, and gives them up. */
  giveUpLostRows(path: string, host: StoreHost): Promise<readonly LostRows[]> {
    return giveUpLostRows(host, path, this.limits)
  }

  holdsPlain(path: string, host: StoreHost): Promise<boolean> {
    return holdsPlain(host, path)
  }

  discard(path: string, host: StoreHost): Promise<void> {
    return discardStore(host, path)
  }
}
