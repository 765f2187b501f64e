// From before the first paint on: light or dark, as the front end's style sheet asks and as the system is.
const system = matchMedia('(prefers-color-scheme: dark)');
const look = () => { document.documentElement.dataset.vmTheme = system.matches ? 'dark' : 'light'; };
system.addEventListener('change', look);
look();
