/** Moving the metadata of a running store to a database, and back, as operators ask for it. */

/** Settings of the node that this process becomes, as texts; the defaults are those of `serve`. */
export interface ToDatabaseRequest {
  readonly databaseUrl: string
  readonly node?: string | undefined
  readonly zone?: string | undefined
  readonly machine?: string | undefined
  readonly nodeListen?: string | undefined
  readonly nodeAddress?: string | undefined
}

export interface ConversionReport {
  /** `copying`: clients work as before. `switching`: requests wait, or are refused until it is over. */
  readonly state: "none" | "copying" | "switching" | "done" | "failed"
  /** The current work, or why it failed, in a sentence. */
  readonly progress: string
  /** Settings that later starts need, by flag; once it is done. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface StoreConversion {
  /**
   * Begins to move the metadata to a database; it goes on in the background. Throws, and changes nothing, if the store
   * or the database are not fit for it.
   */
  toDatabase(request: ToDatabaseRequest): Promise<ConversionReport>
  /**
   * Begins to move the metadata back to the devices of this node. Throws if other nodes are part of the store, and
   * `invalidArgument` unless `lockedBuckets` names the buckets with object lock: one machine has their metadata from then
   * on.
   */
  toDevices(lockedBuckets?: readonly string[]): Promise<ConversionReport>
  report(): ConversionReport
}
