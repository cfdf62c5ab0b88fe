/** Makes an entry the newest of a map. The oldest ones leave if the map has more than `max` then. Pure. */
export function keepLatest<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, max: number): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= max) return
    map.delete(oldest)
  }
}
