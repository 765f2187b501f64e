"""How the components of the page come to the front end (var_mini/ui)."""

HOST = "hosts/gradio.js"
MODULE = f"import(new URL('ui/{HOST}', document.baseURI))"
