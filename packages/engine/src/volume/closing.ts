/**
 * Closing a volume: writing an empty group behind its last one.
 *
 * The end of a sealed volume is recorded in the header of the next one. Before that next one is removed, the sealed
 * volume must record its end itself, or rot in its last group would pass for a torn tail: any group confirms all before
 * it. Nothing that counts is ever cut off: whole groups behind the seal count too.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { VolumePosition } from "../format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { volumePath } from "./files.js"
import { packGroup } from "./group-core.js"
import { FileWindow } from "./group-reader.js"
import { VolumeScan } from "./scan.js"

/**
 * `sealed`: the end of this volume as a later one records it. Returns the length of the volume. Does nothing if it is
 * closed. Throws `deviceFull`, `deviceFailed`.
 */
export async function closeVolume(
  disk: Disk,
  directory: { readonly folder: string; readonly deviceId: DeviceId },
  sealed: VolumePosition,
): Promise<number> {
  const { deviceId } = directory
  const file = await disk.open(volumePath(directory.folder, sealed.volumeId), "write", { durable: true })
  try {
    const sizeBytes = await file.sizeBytes()
    let [end, isClosed] = [sealed, false]
    const scan = new VolumeScan(new FileWindow(file, sizeBytes), { deviceId, volumeId: sealed.volumeId }, sealed)
    for await (const event of scan.run(sealed)) {
      if (event.kind === "unvouched") isClosed = event.group.header.needles === 0
      if (event.kind === "position") end = event.position
    }
    if (isClosed) return sizeBytes
    if (sizeBytes > end.offsetBytes) {
      await file.truncate(end.offsetBytes)
      await file.sync()
    }
    const { buffers, after } = packGroup(deviceId, end, [])
    await file.write(buffers, end.offsetBytes)
    return after.offsetBytes
  } finally {
    await file.close()
  }
}
