/** Devices by number, for tests of layouts. */
import { parseDeviceId } from "@hayloft/base/ids.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { LayoutDevice } from "./layout.js"

export const deviceId = (number: number): DeviceId => parseDeviceId(number.toString(16).padStart(16, "0"))

/** Device i has the i-th weight. */
export const weighted = (weights: readonly number[]): readonly LayoutDevice[] =>
  weights.map((weight, i) => ({ id: deviceId(i), weight }))

export const equal = (count: number): readonly LayoutDevice[] => weighted(Array.from({ length: count }, () => 1))
