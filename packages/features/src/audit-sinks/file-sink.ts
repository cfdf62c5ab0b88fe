/**
 * The records of the audit log in a file on this machine, one JSON object a line.
 *
 * Promises  Those of `RotatedFile`; a batch is synced before it counts as delivered.
 * Limits    `FILE_LIMITS`.
 */
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RotatedFile, type RotationLimits } from "@hayloft/base/seams/disk/rotated-file.js"
import { MIB } from "@hayloft/base/limits.js"
import type { AuditSink } from "./sink.js"

const FILE_LIMITS = { bytesMax: 64 * MIB, filesMax: 8 } as const

export class FileSink implements AuditSink {
  readonly name = "file"
  readonly gatherMs = 0
  private readonly file: RotatedFile

  constructor(disk: Disk, path: string, limits: RotationLimits = FILE_LIMITS) {
    this.file = new RotatedFile(disk, path, limits)
  }

  deliver(lines: string): Promise<void> {
    return this.file.append(Buffer.from(lines), { isSynced: true })
  }
}
