// The engine's own handler: an event of a request, its answer, and work that the event waits for.

addEventListener('fetch', (event) => {
  const { pathname, search } = new URL(event.request.url);
  event.respondWith(new Response(`JavaScript ${pathname}${search}`));
  event.waitUntil(workAfterAnswer(pathname));
});

async function workAfterAnswer(pathname) {
  await new Promise((resolve) => setTimeout(resolve, 300));
  console.log(`finished ${pathname}`);
}
