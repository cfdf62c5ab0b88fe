/** A front thread starts from the file of the command, so that the package has its code once. */
import { isMainThread, workerData } from "node:worker_threads"

/** The order of this thread, if it is a front thread; undefined: it is the thread of a command. */
export const frontOrder: unknown = isMainThread ? undefined : workerData
