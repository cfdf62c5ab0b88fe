/**
 * Layouts of stores in tests. Planning is pure, and takes longer than the rest of a small store: a process plans each layout
 * once.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Layout } from "./layout.js"
import { planLayout, planNext } from "./next-layout.js"

const first = new Map<string, Layout>()
const next = new WeakMap<Layout, Map<string, Layout>>()

const equal = (ids: readonly DeviceId[]) => ids.map(id => ({ id, weight: 1 }))

function planned(known: Map<string, Layout>, ids: readonly DeviceId[], width: number, plan: () => Layout): Layout {
  const key = `${width} ${ids.join()}`
  const layout = known.get(key) ?? plan()
  known.set(key, layout)
  return layout
}

/** The first layout over devices of equal weight. */
export const firstLayout = (ids: readonly DeviceId[], width = ids.length): Layout =>
  planned(first, ids, width, () => planLayout(equal(ids), width))

/** The layout after `before`, over devices of equal weight. */
export function nextLayout(before: Layout, ids: readonly DeviceId[], width: number): Layout {
  const known = next.get(before) ?? new Map<string, Layout>()
  next.set(before, known)
  return planned(known, ids, width, () => planNext(before, equal(ids), width, before.version + 1))
}
