/** A front and its engine in one thread, for tests: the metadata as the front sees it. */
import { parseIncarnation } from "@hayloft/base/ids.js"
import type { Channel } from "@hayloft/base/seams/channel/contract.js"
import { openChannel, PortChannel } from "@hayloft/base/seams/channel/real.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Incarnations, Metadata } from "../metadata/index.js"
import { ChannelMetadata } from "./channel-metadata.js"
import type { LastChanges } from "./last-changes.js"
import { ThreadLink } from "./link.js"
import { serveMetadata } from "./metadata-host.js"

interface TestFront {
  readonly metadata: ChannelMetadata
  readonly link: ThreadLink
  readonly engineLink: ThreadLink
}

/** The first front of a process whose engine thread has the metadata's own incarnation. */
const frontOf = (engine: Incarnations): Incarnations => {
  const own = parseIncarnation(engine.own + 1)
  return {
    own,
    oldestLive: engine.own,
    isOver: incarnation => incarnation < engine.own && engine.isOver(incarnation),
  }
}

export function openTestFront(
  metadata: Metadata,
  [here, there]: readonly [Channel, Channel] = realPair(),
  clock: Pick<Clock, "atEndOfTurn"> = new RealClock(),
  changes?: LastChanges,
): TestFront {
  const incarnations = frontOf(metadata.incarnations)
  const engineLink = new ThreadLink(there, clock)
  serveMetadata(engineLink, metadata, incarnations, changes !== undefined)
  engineLink.start()
  const link = new ThreadLink(here, clock)
  link.start()
  return { metadata: new ChannelMetadata(link, incarnations, changes), link, engineLink }
}

function realPair(): readonly [Channel, Channel] {
  const { channel, port } = openChannel()
  return [channel, new PortChannel(port)]
}
