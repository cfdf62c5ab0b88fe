/** Appends as protocols call them. */
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import type { Bucket, PutRequest, PutResult } from "@hayloft/objects/contract.js"

/** The data that a new object is made of, and bytes for the end of one. */
export interface AppendRequest extends Pick<
  PutRequest,
  "bucket" | "key" | "attributes" | "tags" | "acl" | "storageClass" | "encryption" | "conditions" | "body" | "signal"
> {
  /** The end of the object, as the client knows it; undefined: wherever it is. */
  readonly atOffset: number | undefined
  /** With it a client may repeat the request: the bytes are appended once. */
  readonly appendId: string | undefined
}

export interface AppendedObject extends PutResult {
  /** The place where the appended bytes begin. */
  readonly offsetBytes: number
  /** An earlier request with this id has appended them. */
  readonly isRepeated: boolean
}

export interface Appends {
  /**
   * Appends to an object, or makes one. Throws `invalidWriteOffset` (details.sizeBytes), `noSuchKey`, `preconditionFailed`,
   * `notImplemented`, `invalidRequest`, `invalidObjectState`, `entityTooLarge`, what features refuse, and what a body can be.
   */
  append(request: AppendRequest): Promise<AppendedObject>
  /**
   * Tells of changes of the object, whatever makes them, and of its removal. Read what is there after this call, or a change
   * may be missed. Throws `tooManyInFlight`.
   */
  watch(bucket: Pick<Bucket, "id">, key: ObjectKey): Watcher
}
