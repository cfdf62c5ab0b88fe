/**
 * Entry point of a thread that transforms objects.
 */
import { serveSandbox } from "../seams/sandbox/index.js"
import { buffersOf, handleTask } from "../features/transforms/worker/serve.js"

serveSandbox(handleTask, buffersOf)
