/** The metadata engine of service tests passes the suite of all engines, also if it responds in a later turn. */
import { metadataSuite } from "./suite.js"
import { MemoryMetadata } from "./testing-engine.js"

const laterTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

metadataSuite("memory", () => Promise.resolve({ metadata: new MemoryMetadata(), dispose: () => Promise.resolve() }))

metadataSuite("memory, in a later turn", () => {
  const metadata = new MemoryMetadata()
  metadata.later = laterTurn
  return Promise.resolve({ metadata, dispose: () => Promise.resolve() })
})
