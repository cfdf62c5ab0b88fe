/** The one error of this folder: something on a disk of MinIO that cannot be read, and why. */
type DiskProblem =
  /** The bytes are not what MinIO writes, or their checksum is wrong. */
  | "damaged"
  /** Fewer shards are left than are needed. */
  | "lost"
  /** The bytes are sealed with a key that is not on the disks. */
  | "sealed"
  /** The bytes are in another store. */
  | "tiered"
  /** A form of MinIO that is not read here. */
  | "unknownForm"
  /** The folders are not those of one stopped MinIO. */
  | "wrongFolders"

export class DiskFailure extends Error {
  override readonly name = "DiskFailure"

  constructor(
    readonly code: DiskProblem,
    message: string,
  ) {
    super(message)
  }
}

export const damaged = (message: string): DiskFailure => new DiskFailure("damaged", message)
