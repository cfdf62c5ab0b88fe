/**
 * Whether a request names this machine's loopback address, by its Host header. Pure.
 *
 * A web page can have its own name resolve to 127.0.0.1 (DNS rebinding), and then read what a port on loopback shows to
 * anybody; the Host header of its requests still says the page's name. Browsers resolve `*.localhost` to loopback only.
 */
const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost\.?|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** Without the header it is no browser that asks. */
export const isLoopbackHost = (host: string | undefined): boolean => host === undefined || LOOPBACK_HOST.test(host)
