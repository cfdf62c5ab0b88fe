import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { REMOTE_LIMITS, type RemoteLimits } from "./index.js"
import { DamagedDevice, shardStoreSuite } from "./suite.js"
import { NodeWorld } from "./testing-remote.js"

shardStoreSuite("local", async () => {
  const device = new DamagedDevice()
  return {
    device,
    store: await device.open(),
    settle: promise => promise,
    close: () => device.volumes.close(),
  }
})

const far = (limits: Partial<RemoteLimits>) => async () => {
  const device = new DamagedDevice()
  const world = new NodeWorld(new SimClock(), new SimRandom(3), { ...REMOTE_LIMITS, ...limits })
  const volumes = await device.open()
  const { remote } = await world.add("far", [{ id: device.id, volumes, isWritable: true }])
  await world.clock.advance(100)
  return {
    device,
    store: remote.shardsOf(device.id).volumes,
    settle: <T>(promise: Promise<T>) => world.run(promise),
    close: async () => {
      await world.close()
      await volumes.close()
    },
  }
}

shardStoreSuite("remote", far({}))
shardStoreSuite("remote, small pages", far({ pageNeedlesMax: 3 }))
