// Before the first paint: light or dark, as the front end's style sheet asks.
document.documentElement.dataset.vmTheme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
