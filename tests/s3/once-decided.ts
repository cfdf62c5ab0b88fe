/** Replaces an object exactly between a decision about it and its read. */
import type { Objects } from "@hayloft/objects/contract.js"

/** Runs `change` once the tags of an object have been read for the nth time: that is what a decision depends on. */
export function onceDecided(objects: Objects, key: string, change: () => Promise<unknown>, nth = 1): void {
  const getTags = objects.getTags.bind(objects)
  let left = nth
  const decided: typeof getTags = async target => {
    const found = await getTags(target)
    if (target.key === key) left -= 1
    if (left > 0) return found
    Object.assign(objects, { getTags })
    await change()
    return found
  }
  Object.assign(objects, { getTags: decided })
}
