/**
 * The API that the npm package offers to programs as `hayloft/client`; declarations/client.d.ts states the same for
 * their compilers.
 */
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { CoordClient, type CoordAccess } from "./coordination.js"

export { RemoteFailure, Unreachable } from "./remote.js"

/** `signal` breaks off the client's requests, and stops the renewal of its sessions. */
export const connectCoordination = (access: CoordAccess, signal = new AbortController().signal): CoordClient =>
  new CoordClient(access, new RealClock(), signal)
