/** Concurrent conditional writes against a server whose devices keep the metadata. */
import { writerRaces } from "./harness/writer-races.js"

writerRaces()
