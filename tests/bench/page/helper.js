// A further thread of our engine: an instance of its module over its memory, which then does nothing else.
addEventListener("message", async ({ data: { bindings, module, memory } }) => {
  const { initSync, help } = await import(bindings);
  initSync({ module, memory, thread_stack_size: 1 << 20 });
  postMessage("helping");
  help();
});
