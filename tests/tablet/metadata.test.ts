/** A tablet of three replicas passes the suite for metadata engines, over restarts and checkpoints. */
import { MIB } from "@hayloft/base/limits.js"
import { metadataSuite, type MetadataUnderTest } from "@hayloft/engine/metadata/suite.js"
import { Scene } from "./scene.js"

async function under(scene: Scene): Promise<MetadataUnderTest> {
  await scene.open()
  return {
    metadata: scene.tablet,
    async reopen() {
      for (const device of scene.devices) await device.checkpoint()
      return under(scene)
    },
    dispose: () => scene.tablet.stop(),
  }
}

metadataSuite("tablet", () => under(new Scene({ devices: 3, segmentBytes: 4 * MIB })))
