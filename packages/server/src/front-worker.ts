/** Entry point of a front thread, which serves the S3 port over the store of the engine thread. An error ends the thread. */
import { workerData } from "node:worker_threads"
import { parseFrontOrder, serveFront } from "./serve-front.js"

void serveFront(parseFrontOrder(workerData))
